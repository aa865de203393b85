; Echoes what arrives on COM1 in upper case, until a "." ends it with debug-exit 0.
%include "multiboot.inc"

start:  mov esp, 0x80000
        print "ready", 10
.next:  mov dx, COM1_LINE_STATUS
        in al, dx
        test al, DATA_READY
        jz .next
        mov dx, COM1
        in al, dx
        cmp al, '.'
        je .end
        cmp al, 'a'
        jb .send
        cmp al, 'z'
        ja .send
        sub al, 'a' - 'A'
.send:  mov ah, al
        mov dx, COM1_LINE_STATUS
.wait:  in al, dx
        test al, TRANSMITTER_EMPTY
        jz .wait
        mov al, ah
        mov dx, COM1
        out dx, al
        jmp .next
.end:   leave_with 0
