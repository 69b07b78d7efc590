# shellcheck shell=bash
# Sourced by ./up and ./down: what a container engine changes in the machine's firewall and forwarding, taken back when it ends.
FORWARDING=/proc/sys/net/ipv4/ip_forward

# firewall_remember FOLDER: keeps rules, policies and forwarding as they are before the engine starts. What is in FOLDER
# already stays: it is from before an engine that was killed.
firewall_remember() {
    local folder=$1 tool table before
    [ -e "$folder/ip_forward" ] || cat "$FORWARDING" >"$folder/ip_forward"
    for tool in iptables ip6tables; do
        for table in nat filter; do
            before=$folder/$tool-$table
            [ -e "$before" ] || ! $tool -w -t $table -S >"$before.new" 2>/dev/null || mv "$before.new" "$before"
        done
    done
}

# firewall_restore FOLDER: deletes the engine's rules and chains, and puts the policy of FORWARD back. The engine's are those
# that were not there before and name its chains, its bridges or its network. Where nothing is remembered, nothing changes.
firewall_restore() {
    local folder=$1 tool table before now rule chain
    for tool in iptables ip6tables; do
        for table in nat filter; do
            before=$folder/$tool-$table
            [ -e "$before" ] || continue
            now=$($tool -w -t $table -S | grep -vxFf "$before" || true)
            while read -r rule; do # xargs takes the quotes of comments off
                xargs $tool -w -t $table <<<"${rule/#-A /-D }" || true
            done < <(grep -E -e "^-A (DOCKER|.* -[jg] DOCKER|.* -[io] (docker0|br-[0-9a-f]{12})|.* 172\.30\.0\.0/16 )" <<<"$now")
            for chain in $(sed -n 's/^-N \(DOCKER.*\)/\1/p' <<<"$now"); do
                { $tool -w -t $table -F "$chain" && $tool -w -t $table -X "$chain"; } || true
            done
            # shellcheck disable=SC2046 # -P FORWARD POLICY: the engine drops by default where it turned forwarding on
            [ $table = nat ] || $tool -w $(grep -e '^-P FORWARD ' "$before") || true
        done
    done
    [ ! -e "$folder/ip_forward" ] || cat "$folder/ip_forward" >"$FORWARDING"
}
