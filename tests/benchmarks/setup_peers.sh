#!/bin/sh
# Installs what the benchmarks of reading compare with; needs root for Debian's packages.
#
#     sh tests/benchmarks/setup_peers.sh FOLDER
#
# makes FOLDER/litdata and FOLDER/ffcv, two virtual environments, and takes nothing from the project's own.
set -eu
folder=$1
root=$(cd "$(dirname "$0")/../.." && pwd)

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    gcc g++ pkg-config libjpeg-turbo-progs libzstd-dev libblosc-dev libturbojpeg0-dev libopencv-dev

python3 -m venv "$folder/litdata"
"$folder/litdata/bin/pip" install -q -c "$root/constraints.txt" torch numpy zarr litdata==0.2.76 zstd==1.5.7.2

# FFCV 1.0.2 is compiled here; its setup.py needs setuptools and finds OpenCV and TurboJPEG by pkg-config.
python3 -m venv "$folder/ffcv"
"$folder/ffcv/bin/pip" install -q "setuptools<81" wheel
"$folder/ffcv/bin/pip" install -q -c "$root/constraints.txt" torch numpy numba pillow opencv-python==5.0.0.93
"$folder/ffcv/bin/pip" install -q -c "$root/constraints.txt" --no-build-isolation ffcv==1.0.2
"$folder/ffcv/bin/python" -c "import ffcv"
