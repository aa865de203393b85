; Runs for ever.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "looping", 10
.loop:  inc ecx
        jmp .loop
