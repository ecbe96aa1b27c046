#!/bin/bash
# Run the tests of machine, kernel and story on a 32-bit Linux: as root, on a Debian or Ubuntu on x86, with debootstrap.
#
#     tools/site/check32.sh [FOLDER]      a folder for that small system; it is kept for the next time
#
# In a browser numpy's own integers have 32 bits. Pyodide's numpy cannot be had everywhere, a 32-bit Debian can, and it
# has shown faults that no 64-bit machine shows: numpy refuses 64-bit counts there.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
system=${1:-/var/tmp/zonelab-32}
mirror=${MIRROR:-http://deb.debian.org/debian}
if [ ! -x "$system/usr/bin/pytest-3" ]; then
    debootstrap --arch=i386 --variant=minbase --include=python3-numpy,python3-pytest,python3-hypothesis trixie "$system" "$mirror"
fi
rm -rf "$system/project"
mkdir "$system/project"
cp -r "$project/zonelab" "$project/tests" "$project/pyproject.toml" "$project/README.md" "$system/project/"
chroot "$system" /usr/bin/python3 -c 'import numpy; assert numpy.arange(1).itemsize == 4, "these integers are wide"'
chroot "$system" /bin/sh -c 'cd /project && python3 -m pytest -q -p no:cacheprovider tests/machine tests/kernel tests/story'
