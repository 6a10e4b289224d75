#!/bin/sh
echo "$*" >>"$FOLDER/log"
case "$1 $2" in
  "image inspect")
    for word; do name=$word; done
    sed -n "s#^$name ##p" "$FOLDER/kept" | grep . ;;
  "pull -q")
    case $3 in
      *@*) echo "$3 $3 " >>"$FOLDER/kept" ;;
      *) echo "$3 ${3%:*}@sha256:whatever " >>"$FOLDER/kept" ;;
    esac ;;
  "tag "*) echo "$3 $2 " >>"$FOLDER/kept" ;;
esac
