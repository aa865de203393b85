#!/usr/bin/env bash
# Builds the guest kernels into guests/prebuilt/. Needs gcc, nasm and binutils. The results are committed, so that
# only who changes a guest needs to run this.
set -eu
cd "$(dirname "$0")"
mkdir -p ../build/guests

CFLAGS=(-m64 -O2 -g0 -std=gnu11 -Wall -Wextra -Werror -ffreestanding -fno-pic -fno-pie -mcmodel=small -mno-red-zone
  -mgeneral-regs-only -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables
  -fno-tree-loop-distribute-patterns -fno-omit-frame-pointer)

# kernel NAME LINKER-SCRIPT SOURCE...: links the sources with the common entry. QEMU's Multiboot loader takes ELF32
# only, so the linked 64-bit image is repackaged: addresses are below 4 GB anyway, and code is just bytes to the
# container.
kernel() {
  local name=$1 script=$2 objects=()
  shift 2
  for source in entry/entry.asm "$@"; do
    local object
    object=../build/guests/$name-$(basename "$source").o
    case $source in
      *.asm) nasm -f elf64 -o "$object" "$source" ;;
      *.c) gcc "${CFLAGS[@]}" -c -o "$object" "$source" ;;
    esac
    objects+=("$object")
  done
  ld -m elf_x86_64 -n -T "$script" --build-id=none -o "../build/guests/$name.elf64" "${objects[@]}"
  objcopy -O elf32-i386 "../build/guests/$name.elf64" "prebuilt/$name.elf"
}

kernel bench entry/kernel.ld bench/bench.c
kernel tour tour/tour.ld tour/{kernel,segments,interrupts,paging,system-calls,user}.c tour/interrupts.asm
