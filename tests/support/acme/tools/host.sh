#!/bin/sh
# Says where it runs; `refuse WORD` fails where its question has the word.
case "$1" in
name) cat > /dev/null && hostname ;;
refuse) ! grep -q "$2" || { echo "its question has the word $2"; exit 1; } ;;
esac
