; Says hello in 32-bit protected mode, as a Multiboot loader leaves it, and ends with debug-exit 3.
%include "multiboot.inc"

start:  mov esp, 0x80000
        cmp eax, 0x2BADB002
        jne .foreign
        print "hello from 32-bit protected mode", 10
        leave_with 3
.foreign:
        print "not loaded by Multiboot", 10
        leave_with 4
