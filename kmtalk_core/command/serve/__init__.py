"""KMTalk as a service on this machine: jobs over HTTP, a small client, and a folder that is watched."""
