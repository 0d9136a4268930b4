#!/bin/sh
# User-data of a ZooKeeper server on Debian or Ubuntu: installs ZooKeeper, zk-hosts and its cron file, and starts ZooKeeper once
# this host is registered and its hosts file in step. Set these, then paste it whole into the instance or the launch
# template. It may run again, and does not restart a ZooKeeper that runs.

# The registry.
ZK_HOSTS_REGISTRY=${ZK_HOSTS_REGISTRY-s3://BUCKET/zk.json}
# How many servers the ensemble has.
ZK_HOSTS_SIZE=${ZK_HOSTS_SIZE-3}
# This server's number, from 1 to the size. Empty, in an auto-scaling group: it claims a free one or a dead server's.
ZK_HOSTS_ID=${ZK_HOSTS_ID-}
# Where to get the program and what it must be, unless the image has it.
ZK_HOSTS_URL=${ZK_HOSTS_URL-}
ZK_HOSTS_SHA256=${ZK_HOSTS_SHA256-}
# Further options of register, such as "--interface eth0" outside EC2.
ZK_HOSTS_REGISTER_OPTIONS=${ZK_HOSTS_REGISTER_OPTIONS-}
# Further settings of zk-hosts, one NAME=VALUE a line, such as AWS_REGION=eu-west-1 (on EC2 the instance's own by default). They
# go into files that everybody can read.
ZK_HOSTS_SETTINGS=${ZK_HOSTS_SETTINGS-}
# Options of ZooKeeper's JVM.
JAVA_OPTS=${JAVA_OPTS--Xmx1g}

set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive
data=/var/lib/zookeeper

say() {
    echo "zk-hosts user-data: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# Writes its input to the file $1 with the mode $2.
put() {
    mkdir -p "${1%/*}"
    cat > "$1.new"
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}

case $ZK_HOSTS_REGISTRY in
    '' | s3://BUCKET/*) fail "set ZK_HOSTS_REGISTRY" ;;
esac
for number in "$ZK_HOSTS_SIZE" "${ZK_HOSTS_ID:-1}"; do
    case $number in
        '' | 0* | *[!0-9]*) fail "ZK_HOSTS_SIZE and ZK_HOSTS_ID are numbers from 1 on" ;;
    esac
done
[ "${ZK_HOSTS_ID:-1}" -le "$ZK_HOSTS_SIZE" ] || fail "ZK_HOSTS_ID is more than ZK_HOSTS_SIZE"
case $ZK_HOSTS_SETTINGS in
    *ZK_HOSTS_PREFIX=*) fail "the names in zoo.cfg are zoov1 and so on: ZK_HOSTS_PREFIX cannot be set" ;;
esac

packages=
[ -e /usr/share/java/zookeeper.jar ] || packages="$packages zookeeper"
[ -x /usr/sbin/cron ] || packages="$packages cron"
[ -x /usr/bin/curl ] || [ -z "$ZK_HOSTS_URL" ] || packages="$packages curl ca-certificates"
if [ -n "$packages" ]; then
    say "installing$packages"
    # At the first boot another apt may hold the locks, and a mirror be away: there is no second user-data.
    tries=60
    # shellcheck disable=SC2086 # the packages are words
    until apt-get update -q && apt-get -o DPkg::Lock::Timeout=600 install -qy --no-install-recommends $packages; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "apt cannot install$packages"
        sleep 10
    done
fi

if ! command -v zk-hosts >/dev/null; then
    [ -n "$ZK_HOSTS_URL" ] || fail "zk-hosts is not in the image: set ZK_HOSTS_URL and ZK_HOSTS_SHA256"
    say "downloading $ZK_HOSTS_URL"
    download=$(mktemp)
    curl -fsSL --retry 5 --retry-connrefused -o "$download" "$ZK_HOSTS_URL"
    echo "$ZK_HOSTS_SHA256  $download" | sha256sum --check --quiet || fail "$ZK_HOSTS_URL is not what ZK_HOSTS_SHA256 says"
    put /usr/local/bin/zk-hosts 0755 < "$download"
    rm "$download"
fi

# cloud-init would write the hosts file anew at each boot.
[ ! -d /etc/cloud/cloud.cfg.d ] || echo 'manage_etc_hosts: false' | put /etc/cloud/cloud.cfg.d/99-zk-hosts.cfg 0644

chown zookeeper: "$data"
ZK_HOSTS_REGISTER_OPTIONS="--size $ZK_HOSTS_SIZE $ZK_HOSTS_REGISTER_OPTIONS"
# A number is that of the data beside it. The package's own myid is a line of advice.
myid=$(tr -d '[:space:]' 2>/dev/null < "$data/myid" || true)
case $myid in
    '' | 0* | *[!0-9]*) rm -f "$data/myid" ;;
    *) [ "$myid" = "${ZK_HOSTS_ID:-$myid}" ] || fail "ZK_HOSTS_ID is $ZK_HOSTS_ID, and $data/myid says $myid" ;;
esac
if [ -n "$ZK_HOSTS_ID" ]; then
    echo "$ZK_HOSTS_ID" > "$data/myid"
else
    # register writes the number that it claims.
    ZK_HOSTS_REGISTER_OPTIONS="--claim $ZK_HOSTS_REGISTER_OPTIONS"
fi

{
    cat <<END
tickTime=2000
initLimit=10
syncLimit=5
dataDir=$data
clientPort=2181
autopurge.snapRetainCount=3
autopurge.purgeInterval=24
4lw.commands.whitelist=srvr,mntr
END
    for id in $(seq "$ZK_HOSTS_SIZE"); do
        echo "server.$id=zoov$id:2888:3888"
    done
} | put /etc/zookeeper/conf/zoo.cfg 0644

echo "JAVA_OPTS=\"$JAVA_OPTS\"" | put /etc/default/zookeeper 0644

settings=$(printf 'ZK_HOSTS_REGISTRY="%s"\n%s' "$ZK_HOSTS_REGISTRY" "$ZK_HOSTS_SETTINGS")
printf '%s\nZK_HOSTS_REGISTER_OPTIONS="%s"\n' "$settings" "$ZK_HOSTS_REGISTER_OPTIONS" | put /etc/default/zk-hosts 0644

# What follows are the files of the project, with the settings put into the cron file.

{
    printf '%s\n' "$settings"
    grep -v '^ZK_HOSTS_REGISTRY=""$' <<'END_OF_CRON'
# zk-hosts: one pass each minute.
# Install as /etc/cron.d/zk-hosts (owner root, mode 0644), then set the registry. Until then this does nothing.

SHELL=/bin/sh
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

# s3://bucket/key, https://... or file:///path. This file can be read by everybody: put a presigned URL, which is a
# secret, into a file of mode 0600 and name it here as @/path.
ZK_HOSTS_REGISTRY=""

# AWS_REGION="eu-west-1"
# HTTPS_PROXY="http://proxy.internal:3128"

# The splay spreads a fleet over 25 seconds. What the pass prints goes to syslog, so that cron sends no mail.
* * * * * root [ -z "$ZK_HOSTS_REGISTRY" ] || zk-hosts sync --splay 25s 2>&1 | logger -t zk-hosts
END_OF_CRON
} | put /etc/cron.d/zk-hosts 0644

put /usr/local/sbin/zk-hosts-prestart 0755 <<'END_OF_PRESTART'
#!/bin/sh
# What a ZooKeeper server does before each start: it publishes its address, then brings its hosts file in step. A server that
# finds an old address under its own name never joins. ZooKeeper's unit runs this as ExecStartPre, as root; any exit but 0
# keeps ZooKeeper from starting, and systemd tries again.
#
# Settings come from the environment (the unit reads /etc/default/zk-hosts): those of zk-hosts, and
#   ZK_HOSTS_MYID_FILE         myid in ZooKeeper's dataDir [/var/lib/zookeeper/myid]
#   ZK_HOSTS_REGISTER_OPTIONS  further options of register, such as "--claim --size 3" or "--interface eth0"; never --force,
#                              by which a machine that was replaced would take its place back
#   ZK_HOSTS_REGISTER_TIMEOUT  how long to wait for the place [10m; 20s on a host that is in place]: ZK_HOSTS_TIMEOUT is a
#                              pass's, and shorter than the silence that a claim waits for
set -u
# The unit's is ZooKeeper's own folder: what ZooKeeper can write must not tell root what to run (credential_process).
export HOME=/root
export ZK_HOSTS_MYID_FILE="${ZK_HOSTS_MYID_FILE:-/var/lib/zookeeper/myid}"

say() {
    echo "zk-hosts-prestart: $*" >&2
}

# Whether the hosts file alone gives this server's name an address of this host (loopback does not count), and no other.
in_place() {
    [ -r "$ZK_HOSTS_MYID_FILE" ] || return 1
    name=${ZK_HOSTS_PREFIX:-zoov}$(tr -d '[:space:]' < "$ZK_HOSTS_MYID_FILE")
    found=$(getent -s files ahosts "$name" | cut -d ' ' -f 1 | sort -u)
    [ -n "$found" ] || return 1
    own=$(hostname -I)
    for address in $found; do
        case " $own " in
            *" $address "*) ;;
            *) return 1 ;;
        esac
    done
}

# A host that is in place may start without the store, so it gives it only what a pass gives it.
timeout=10m
if in_place; then
    timeout=20s
fi

# The metrics are those of sync.
# shellcheck disable=SC2086 # the options are words
ZK_HOSTS_METRICS_FILE='' zk-hosts register --timeout "${ZK_HOSTS_REGISTER_TIMEOUT:-$timeout}" ${ZK_HOSTS_REGISTER_OPTIONS:-} &&
    zk-hosts sync --changed-exit-code 0 --splay 0
code=$?

if [ $code -eq 69 ] && in_place; then
    say "the registry is away; the hosts file has this host's address for $name, so ZooKeeper may start"
    exit 0
fi
[ $code -eq 0 ] || say "ZooKeeper may not start: exit $code"
exit $code
END_OF_PRESTART

put /etc/systemd/system/zookeeper.service 0644 <<'END_OF_UNIT'
# ZooKeeper as Debian and Ubuntu package it, which bring no unit.
# Install as /etc/systemd/system/zookeeper.service.

[Unit]
Description=ZooKeeper
Documentation=https://zookeeper.apache.org/

[Service]
User=zookeeper
Group=zookeeper
EnvironmentFile=-/etc/default/zookeeper
# Without slf4j-simple, which logs to the journal, ZooKeeper logs nothing.
ExecStart=/usr/bin/java -cp /etc/zookeeper/conf:/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar $JAVA_OPTS org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper/conf/zoo.cfg
SuccessExitStatus=143
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
END_OF_UNIT

put /etc/systemd/system/zookeeper.service.d/zk-hosts.conf 0644 <<'END_OF_DROP_IN'
# Register, sync, then start ZooKeeper.
# Install as /etc/systemd/system/zookeeper.service.d/zk-hosts.conf, with the settings in /etc/default/zk-hosts.

[Unit]
Wants=network-online.target
After=network-online.target
# A place may be free, or the store back, only after many tries.
StartLimitIntervalSec=0

[Service]
EnvironmentFile=/etc/default/zk-hosts
# "+" is root, whoever ZooKeeper runs as: the hosts file is written.
ExecStartPre=+/usr/local/sbin/zk-hosts-prestart
# register waits for its place longer than a service may take to start.
TimeoutStartSec=infinity
Restart=on-failure
RestartSec=5s
# For how many seconds the JVM keeps a peer's address; 30 by default, and with -1 it would never ask again.
Environment=JAVA_TOOL_OPTIONS=-Dsun.net.inetaddr.ttl=5
END_OF_DROP_IN

systemctl daemon-reload
systemctl enable --quiet zookeeper
# Not waited for: a place may be free only in some minutes.
systemctl start --no-block zookeeper
say "done; what comes now is told by: journalctl -fu zookeeper"
