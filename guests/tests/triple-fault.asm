; An exception without an interrupt table to deliver it by, nor one for the double fault: the processor shuts down.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "about to triple-fault", 10
        lidt [empty]
        ud2

section .rodata
empty:  dw 0
        dd 0
