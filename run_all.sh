#!/usr/bin/env bash
# Builds Farthing, starts four nodes of the dev network that mine and relay to each other, and opens the wallet.
#
#   ./run_all.sh                 four nodes and the interactive wallet (the demo, if stdin or stderr is no terminal)
#   ./run_all.sh --demo          eight scripted transfers, then checks that all nodes agree and the sums are right
#   ./run_all.sh --data DIR      keep the nodes' data there and continue from it; else a temporary folder, removed again
#
# Everything listens on 127.0.0.1: the API on 50051-50054, peers on 50061-50064 (FARTHING_DEMO_RPC and FARTHING_DEMO_P2P
# change the first port of each).
set -euo pipefail
readonly CALLER=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
readonly SELF=$PWD/${BASH_SOURCE[0]##*/}

readonly NEW_RUN='--- started by run_all.sh'
readonly NODES=4 NAMES=(alice bob carol dave)
# In mites: one far, what the four have in the first block, what a block creates.
readonly FAR=100000000
readonly ALLOCATED=$((4 * 1000000 * FAR)) REWARD=$((50 * FAR))
readonly RPC=${FARTHING_DEMO_RPC:-50051} P2P=${FARTHING_DEMO_P2P:-50061}
demo=0 data='' pids=() panels=0 rebinds=8 signal=''

say() { printf '%s\n' "$*" >&2; }

die() {
    say "run_all.sh: $*"
    exit 1
}

usage() { sed -n '2,9s/^# \{0,1\}//p' "$SELF"; }

while (($#)); do
    case $1 in
        --demo) demo=1 ;;
        --data)
            [[ -n ${2:-} ]] || die '--data needs a folder'
            # As the caller means it, who may stand in another folder.
            data=$2
            [[ $data == /* ]] || data=$CALLER/$data
            shift
            ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) die "unknown argument $1; try --help" ;;
    esac
    shift
done
# The session reads from stdin and asks on stderr.
[[ -t 0 && -t 2 ]] || demo=1
for port in "$RPC" "$P2P"; do
    if [[ ! $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port + NODES - 1 > 65535)); then
        die "FARTHING_DEMO_RPC and FARTHING_DEMO_P2P must be ports from 1 to $((65536 - NODES)), not \"$port\""
    fi
done
((RPC >= P2P + NODES || P2P >= RPC + NODES)) || die "the $NODES ports from $RPC and the $NODES ports from $P2P overlap"

# Ctrl-C, and bash. A signal that comes while bash (5.2) expands $(...) may be lost, or its trap be misread; one that comes
# as a command in the foreground ends may make bash spin for ever. So once the traps are set the main shell does neither:
# what needs more than builtins is a step, in the background; a trap only takes a note; and who rests looks at it.
exec 9<> <(:)
rest() {
    # Nothing ever comes; the time is over, or a signal is here.
    read -r -t "$1" -u 9 || true
    [[ -z $signal ]] || exit "$signal"
}

# In a process group of its own, which the terminal's Ctrl-C does not reach and which can be stopped as a whole.
background() {
    set -m
    "$@" < /dev/null 8>&- 9<&- &
    set +m
}

# Runs a function to its end, while the nodes are watched. It cannot set variables of the main shell.
step() {
    local worker code=0
    background attended "$@"
    worker=$!
    while kill -0 "$worker" 2> /dev/null; do
        check_nodes
        rest 0.1
    done
    wait "$worker" || code=$?
    check_nodes
    ((code == 0)) || exit "$code"
}

attended() {
    # A terminal may stop those in the background who write to it (stty tostop).
    trap '' TTOU
    "$@"
}

# Stops what this script started, and nothing else. Each node gets one signal, since a second one would cut its drain
# short; it drains within 5 s, and one that does not is killed. The shell's own jobs are asked for rather than numbers
# that were kept: the number of a process that is gone may belong to somebody else by now.
stop_all() {
    local code=$? pid deadline
    trap - EXIT
    # A node that is gone already must not end the clean-up, nor another Ctrl-C, nor a reader of ours that is gone.
    set +e
    trap '' INT TERM HUP QUIT PIPE
    for pid in $(jobs -rp); do kill -TERM -- "-$pid" 2> /dev/null; done
    deadline=$((SECONDS + 8))
    while [[ -n $(jobs -rp) ]] && ((SECONDS < deadline)); do sleep 0.05; done
    for pid in $(jobs -rp); do
        kill -KILL -- "-$pid" 2> /dev/null && say "process $pid did not stop in time and was killed"
    done
    wait 2> /dev/null
    if [[ -n ${temporary:-} ]]; then
        if ((code == 0 || code == 130)); then rm -rf "$temporary"; else say "logs are kept in $temporary"; fi
    fi
    exit "$code"
}

wallet() { "$bin/farthing-wallet" --network dev --wallet-dir "$data/wallet" "$@"; }
ask() {
    local node=$1
    shift
    wallet --node "http://127.0.0.1:$((RPC + node - 1))" "$@"
}

# The first value of this key in JSON: a number, or a text without quotes in it.
field() { grep -o "\"$1\": *\"\{0,1\}[^\",}]*" | head -n 1 | sed 's/.*[:"]//'; }

check_ports() {
    local n port
    for ((n = 1; n <= NODES; n++)); do
        for port in $((RPC + n - 1)) $((P2P + n - 1)); do
            if (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null; then
                die "port $port on 127.0.0.1, wanted by node $n, is in use; stop what listens there (ss -ltnp 'sport = :$port'), or set FARTHING_DEMO_RPC / FARTHING_DEMO_P2P"
            fi
        done
    done
}

build() {
    say 'Building (the first time takes some minutes) ...'
    cargo build --release --quiet --package farthing-node --package farthing-wallet
}

# The four well-known keys, and what is left of an earlier run.
prepare() {
    local n name
    for ((n = 1; n <= NODES; n++)); do
        name=${NAMES[n - 1]}
        if [[ ! -e $data/wallet ]] || ! wallet address "$name" > /dev/null 2>&1; then
            wallet key import --dev "$name" --no-passphrase > /dev/null
        fi
        wallet address "$name" > "$data/node$n/address"
    done
    rm -f "$data"/node*/ready.json
}

# Node n mines for one of the four well-known keys and dials its left neighbour: a ring.
start_node() {
    local n=$1 left=$((($1 + NODES - 2) % NODES + 1)) dir="$data/node$1" address
    read -r address < "$dir/address"
    printf '%s\n' "$NEW_RUN" >> "$dir/node.log"
    background "$bin/farthing-node" --network dev --data-dir "$dir/data" \
        --rpc-listen "127.0.0.1:$((RPC + n - 1))" --p2p-listen "127.0.0.1:$((P2P + n - 1))" \
        --connect "127.0.0.1:$((P2P + left - 1))" --ready-file "$dir/ready.json" \
        --mine "$address" --mine-threads 1 --mine-when 4 --mine-max 8 --mine-wait 5 \
        --panels on >> "$dir/blocks.txt" 2>> "$dir/node.log"
    pids[n - 1]=$!
}

# How node n, which is gone, ended, and what it said last; in $last.
last_words() {
    local line code=0
    last=$NEW_RUN
    while IFS= read -r line; do last=$line; done < "$data/node$1/node.log"
    wait "${pids[$1 - 1]}" 2> /dev/null || code=$?
    if [[ $last == "$NEW_RUN" ]]; then last='no word'; fi
    last="exit code $code, and at last: $last"
}

# A node that has ended is told at once. Only this is tried again: outgoing connections of other programs take ports of
# this range too, for a moment, even between the check at the start and the node's turn.
check_nodes() {
    local n last
    for ((n = 1; n <= ${#pids[@]}; n++)); do
        kill -0 "${pids[n - 1]}" 2> /dev/null && continue
        last_words "$n"
        if [[ $last != *'cannot be bound'* ]] || ((rebinds-- <= 0)); then die "node $n has ended: $last"; fi
        rest 0.5
        start_node "$n"
    done
}

# Waits until a command succeeds.
wait_until() {
    local what=$1 deadline=$((SECONDS + $2))
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || die "$what: not within the time allowed; see $data/node*/node.log"
        sleep 0.1
    done
}

all_ready() {
    local n
    for ((n = 1; n <= NODES; n++)); do [[ -s $data/node$n/ready.json ]] || return 1; done
}

connected() {
    local n
    for ((n = 1; n <= NODES; n++)); do
        [[ $(ask "$n" --json status 2> /dev/null | grep -o '"inbound"' | wc -l) -ge 2 ]] || return 1
    done
}

join_up() {
    wait_until 'four nodes ready' 60 all_ready
    wait_until 'four nodes connected' 60 connected
    say 'All four are connected.'
}

# All tips alike and nothing left to mine.
settled() {
    local n status tip='' pending
    for ((n = 1; n <= NODES; n++)); do
        status=$(ask "$n" --json status 2> /dev/null) || return 1
        pending=$(field mempool_transactions <<< "$status")
        [[ $pending == 0 ]] || return 1
        [[ -z $tip || $tip == "$(field tip_id <<< "$status")" ]] || return 1
        tip=$(field tip_id <<< "$status")
    done
}

transfer() {
    local node=$1 from=$2 to=$3 amount=$4
    say "  $from pays $to $amount far, through node $node"
    ask "$node" send "$to" "$amount" --from "$from" --no-wait --yes > "$data/send.log" 2>&1 ||
        die "the transfer from $from to $to failed: $(cat "$data/send.log")"
}

mites_of() { ask "$1" --json balance "$2" | field balance_mites; }

# What node 1 proves now: the height, all money there is, and what the four hold of it.
take_stock() {
    local status name mites
    status=$(ask 1 --json status)
    height=$(field tip_height <<< "$status")
    supply=$(field supply_mites <<< "$status")
    held=0
    for name in "${NAMES[@]}"; do
        mites=$(mites_of 1 "$name")
        held=$((held + mites))
    done
}

# The four paid each other and nobody else, and opened no account, which would burn money: so they hold what they held,
# and the rewards of the new blocks, fees included. In a folder that was used before, others may have money too.
check_sums() {
    local height_before=$1 supply_before=$2 held_before=$3 rewards
    take_stock
    rewards=$((REWARD * (height - height_before)))
    ((held == held_before + rewards)) ||
        die "the balances come to $held mites, expected $held_before and $rewards for $((height - height_before)) blocks"
    ((supply == supply_before + rewards)) ||
        die "node 1 says that there are $supply mites, expected $supply_before and $rewards for $((height - height_before)) blocks"
    if ((held == supply)); then
        sums='the balances add up to every far in existence'
    else
        sums='the balances add up to what they were before and the rewards since'
    fi
}

run_demo() {
    local n status tip name height supply held sums height_before
    # Transfers of an earlier run may wait still.
    wait_until 'four equal tips and nothing waiting' 60 settled
    take_stock
    height_before=$height
    ((height > 0 || (held == supply && supply == ALLOCATED))) ||
        die "a new network must have $ALLOCATED mites; node 1 says $supply, and the four hold $held"
    say 'Eight transfers:'
    transfer 1 alice bob 12.5
    transfer 2 bob carol 3.25
    transfer 3 carol dave 100
    transfer 4 dave alice 7
    transfer 1 alice carol 1.00000001
    transfer 2 bob dave 40
    transfer 3 carol alice 0.5
    transfer 4 dave bob 2.75
    say 'Waiting until they are mined and all four nodes agree ...'
    wait_until 'four equal tips' 60 settled

    printf '\nBlocks, as node 1 saw them:\n'
    tail -c "+$((panels + 1))" "$data/node1/blocks.txt"
    printf '\nTips:\n'
    for ((n = 1; n <= NODES; n++)); do
        status=$(ask "$n" --json status)
        printf '  node %d  height %s  %s\n' "$n" "$(field tip_height <<< "$status")" "$(field tip_id <<< "$status")"
        [[ $n == 1 ]] && tip=$(field tip_id <<< "$status")
        [[ $(field tip_id <<< "$status") == "$tip" ]] || die "node $n has another tip than node 1"
    done
    printf '\nBalances, proven by node 1:\n'
    for name in "${NAMES[@]}"; do
        printf '  %-6s %s far\n' "$name" "$(ask 1 --json balance "$name" | field balance)"
    done
    check_sums "$height_before" "$supply" "$held"
    ((height > height_before)) || die 'no block was mined'
    printf '\nAll four nodes hold block %s at height %s, and %s.\n' "$tip" "$height" "$sums"
}

main() {
    local n last code=0
    check_ports
    bin=${CARGO_TARGET_DIR:-target}/release
    [[ $bin == /* ]] || bin=$PWD/$bin
    if [[ -z $data ]]; then
        temporary=$(mktemp -d "${TMPDIR:-/tmp}/farthing.XXXXXX")
        data=$temporary
    fi
    for ((n = 1; n <= NODES; n++)); do mkdir -p "$data/node$n"; done
    data=$(cd "$data" && pwd)
    exec 8>> "$data/lock"
    ! command -v flock > /dev/null || flock -n 8 || die "another run_all.sh is at work in $data"
    # Panels of earlier runs stay in the file; this one shows what comes behind them.
    [[ ! -e $data/node1/blocks.txt ]] || panels=$(wc -c < "$data/node1/blocks.txt")

    trap stop_all EXIT
    trap 'signal=130' INT
    trap 'signal=143' TERM
    trap 'signal=129' HUP
    trap 'signal=131' QUIT
    step build
    step prepare
    for ((n = 1; n <= NODES; n++)); do start_node "$n"; done
    say "Four nodes: API on http://127.0.0.1:$RPC to :$((RPC + NODES - 1)), logs in $data/node1/node.log to node$NODES/node.log"
    step join_up
    if ((demo)); then
        step run_demo
        return
    fi
    say "Blocks are drawn into $data/node1/blocks.txt; to watch them from another terminal: tail -f $data/node1/blocks.txt"
    say 'alice, bob, carol and dave have money here; under any other name you begin with a key of your own.'
    # Ctrl-C is the wallet's own, from here to its end.
    trap '' INT
    [[ -z $signal ]] || exit "$signal"
    (
        trap - INT
        exec "$bin/farthing-wallet" --network dev --wallet-dir "$data/wallet" --node "http://127.0.0.1:$RPC"
    ) 8>&- 9<&- || code=$?
    for ((n = 1; n <= NODES; n++)); do
        kill -0 "${pids[n - 1]}" 2> /dev/null && continue
        last_words "$n"
        say "node $n ended before the session did: $last"
    done
    exit "${signal:-$code}"
}

main
