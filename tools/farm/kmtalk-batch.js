// A batch as a job type of Flamenco: put this file into the Manager's folder "scripts". One task for each shard, and one
// that gathers them when all have ended. The paths are the same for all Workers; variables as {kmtalk} may be used.

const JOB_TYPE = {
  label: "KMTalk batch",
  description: "Animate every line of a manifest (kmtalk batch)",
  settings: [
    { key: "manifest", type: "string", subtype: "file_path", required: true,
      description: "The lines (.csv, .json), or a folder of sounds" },
    { key: "out", type: "string", subtype: "dir_path", required: true, description: "Folder for results and reports" },
    { key: "shards", type: "int32", default: 8, propargs: { min: 1 }, description: "How many tasks share the lines" },
    { key: "workers", type: "int32", default: 1, propargs: { min: 1 }, description: "Processes of each task",
      visible: "submission" },
    { key: "kmtalk", type: "string", default: "kmtalk", description: "How KMTalk is called on the Workers",
      visible: "submission" },
  ],
};

function compileJob(job) {
  const settings = job.settings;
  const args = ["batch", settings.manifest, "--out", settings.out, "--resume", "--workers", String(settings.workers)];
  const gather = taskOf("gather", settings.kmtalk, args);
  for (let number = 1; number <= settings.shards; number++) {
    const shard = `${number}/${settings.shards}`;
    const task = taskOf(`lines ${shard}`, settings.kmtalk, args.concat(["--shard", shard]));
    gather.addDependency(task);
    job.addTask(task);
  }
  job.addTask(gather);
}

function taskOf(name, exe, args) {
  const task = author.Task(name, "misc");
  task.addCommand(author.Command("exec", { exe: exe, args: args }));
  return task;
}
