# Blender with a window, on a screen that nobody sees, for so many seconds at most: in_window.sh SCRIPT SECONDS
Xvfb :7 -screen 0 1400x1000x24 +extension GLX >"$HOME/logs/xvfb.log" 2>&1 &
screen=$!
export DISPLAY=:7 PIP_RETRIES=0
for _ in 1 2 3 4 5 6 7 8 9 10; do xdotool getdisplaygeometry >/dev/null 2>&1 && break; sleep 0.5; done
timeout "$2" blender --gpu-backend opengl -p 0 0 1400 1000 --python "$1" 2>&1
status=$?
kill $screen
exit $status
