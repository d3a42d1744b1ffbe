# Runs one PostgreSQL and ends with the process that started us: when our standard input closes,
# for whatever reason (SIGKILL too), the server is stopped and its directory removed.
#
# $1: the directory to remove, $2: the log file, the rest: the server's command line.
# Obeys the lines `start`, `stop` and `crash` and answers each with a line once it is done.
directory=$1
log=$2
shift 2

start() {
    "$@" >>"$log" 2>&1 </dev/null &
    server=$!
}

# SIGQUIT is PostgreSQL's immediate mode: nothing is flushed, the next start recovers from the log.
stop() {
    kill -QUIT "$server" 2>/dev/null
    wait "$server" 2>/dev/null
}

# SIGKILL, and its processes end when they notice. A new server is refused as long as one of them lives.
crash() {
    children=$(cat "/proc/$server/task/$server/children" 2>/dev/null)
    kill -KILL "$server" 2>/dev/null
    wait "$server" 2>/dev/null
    for child in $children; do
        while kill -0 "$child" 2>/dev/null; do sleep 0.01; done
    done
}

start "$@"
while read -r order; do
    case $order in
    start) start "$@" ;;
    stop) stop ;;
    crash) crash ;;
    esac
    echo done
done
stop
rm -rf "$directory"
