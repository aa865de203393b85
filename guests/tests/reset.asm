; Resets the machine through the reset control register at 0xCF9.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "resetting", 10
        mov dx, 0xCF9
        mov al, 0x02
        out dx, al
        mov al, 0x06
        out dx, al
        cli
        hlt
