#!/usr/bin/env bash
# Builds the guest kernels into guests/prebuilt/. Needs gcc, nasm and binutils. The results are committed, so that
# only who changes a guest needs to run this.
set -eu
cd "$(dirname "$0")"
mkdir -p ../build/guests

CFLAGS=(-m64 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone
  -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
  -fno-tree-loop-distribute-patterns -fno-omit-frame-pointer)
# Who reads a kernel with a debugger wants each variable to be somewhere at each line. Debug information names sources
# relative to the directory of the kernel, wherever both lie.
FAST=(-O2 -g0)
DEBUGGED=(-O0 -gdwarf-5 "-fdebug-prefix-map=$PWD=.." "-fdebug-prefix-map=$(gcc -print-file-name=include)=gcc")

# nasm writes the absolute directory of its source into the object. So it assembles in a directory whose name is as
# long everywhere, and that name is replaced by one that means "..".
copy=$(mktemp -d /tmp/ringside.XXXXXX)
trap 'rm -r "$copy"' EXIT
cp -r entry tour modes virtqueue "$copy"
PARENT=..//////////////////

assemble() {
  local output=$1 source=$2
  shift 2
  (cd "$copy/$(dirname "$source")" && nasm -f elf64 "$@" -o "$output" "$(basename "$source")")
  LC_ALL=C sed -i "s|$copy|$PARENT|g" "$output"
}

# kernel NAME LINKER-SCRIPT SOURCE...: links the sources; $compiler and $assembler are options.
# QEMU's Multiboot loader takes ELF32 only, so the linked 64-bit image is repackaged: addresses are below 4 GB anyway,
# and code is just bytes to the container.
kernel() {
  local name=$1 script=$2 build=$PWD/../build/guests objects=()
  shift 2
  for source in "$@"; do
    local object
    object=$build/$name-$(basename "$source").o
    case $source in
      *.asm) assemble "$object" "$source" "${assembler[@]}" ;;
      *.c) gcc "${CFLAGS[@]}" "${compiler[@]}" -c -o "$object" "$source" ;;
    esac
    objects+=("$object")
  done
  ld -m elf_x86_64 -n -T "$script" --build-id=none -o "$build/$name.elf64" "${objects[@]}"
  objcopy -O elf32-i386 "$build/$name.elf64" "prebuilt/$name.elf"
}

compiler=("${FAST[@]}") assembler=()
kernel bench entry/kernel.ld entry/entry.asm bench/bench.c
compiler=("${DEBUGGED[@]}") assembler=(-g -F dwarf)
kernel tour tour/tour.ld entry/entry.asm tour/{kernel,segments,interrupts,paging,system-calls,user}.c tour/interrupts.asm
kernel modes modes/modes.ld modes/modes.asm modes/{kernel,user}.c modes/gates.asm
kernel virtqueue entry/kernel.ld entry/entry.asm virtqueue/kernel.c virtqueue/interrupt.asm
