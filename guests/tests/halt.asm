; Halts with interrupts off: nothing will ever wake it.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "halting", 10
        cli
        hlt
        leave_with 1
