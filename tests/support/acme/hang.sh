#!/bin/sh
echo "waiting for a server that never answers" >&2
sleep 1000 &
sleep 1000
