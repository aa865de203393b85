; Jumps to an address where there is neither memory nor a device.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "about to jump into a hole", 10
        mov eax, 0xD0000000
        jmp eax
