#!/bin/sh
# Prints the Python of the virtual environment. The distribution's is preferred to another build of the same version:
# version managers compile without profile-guided optimization, and such a Python takes 1.7 times as long.
system=/usr/bin/python3
version='import sys; print(*sys.version_info[:2])'
found=$($system -c "$version" 2>/dev/null)
if [ -n "$found" ] && [ "$found" = "$(python3 -c "$version" 2>/dev/null)" ] &&
  { [ "$(id -u)" = 0 ] || $system -c 'import ensurepip' 2>/dev/null; }; then
  echo $system
else
  echo python3
fi
