; A boot sector whose stack is worth unwinding: calls near and far, with frame pointers and without, a software
; interrupt, a timer interrupt, and a BP that means nothing. A debugger's tests stop at the labels `.stop`.
bits 16
%ifidn __OUTPUT_FORMAT__, bin
org 0x7C00                                  ; an ELF file, for its symbols, gets it from the linker
%endif

%define STACK_SEGMENT    0x2000             ; its base is not 0, so SP is no address
%define OTHER_CODE       0x07C0             ; the same code as in segment 0, 7C00h lower
%define PIC              0x20
%define TIMER_VECTOR     8

start:  jmp 0:.here
.here:  cli
        cld
        xor ax, ax
        mov ds, ax
        mov ax, STACK_SEGMENT
        mov ss, ax
        xor sp, sp                          ; the first PUSH goes to FFFEh
        xor bp, bp                          ; ends the chain of frame pointers
        mov word [0x60 * 4], service_interrupt
        mov [0x60 * 4 + 2], ds
        mov word [TIMER_VECTOR * 4], timer_interrupt
        mov [TIMER_VECTOR * 4 + 2], ds
        call near_outer
        call bare_outer
        call asking
        call waiting
        mov cx, 3
        call recursive
        call broken
.end:   mov al, 5
        out 0xF4, al
        cli
        hlt

near_outer:
        push bp
        mov bp, sp
        push ax
        call near_inner
        pop ax
        pop bp
        ret

near_inner:
        push bp
        mov bp, sp
        push cx
.far:   call OTHER_CODE:far_function - 0x7C00
.back:  pop cx
        pop bp
.last:  ret

far_function:
        push bp
        mov bp, sp
        sub sp, 4
        push cs                             ; a far function of the same segment is called so
        call far_leaf
        mov sp, bp
        pop bp
        retf

far_leaf:
        enter 2, 0
.stop:  nop
        leave
.last:  retf

; No frame pointer from here on: BP is still that of bare_outer.
bare_outer:
        push bp
        mov bp, sp
        mov ax, 0x1234
        call bare_middle
        pop bp
        ret

bare_middle:
        push ax
        push ax
        call bare_leaf
        pop ax
        pop ax
        ret

bare_leaf:
        push dx
.stop:  pop dx
        ret

asking: push bp
        mov bp, sp
.int:   int 0x60
.back:  pop bp
        ret

service_interrupt:
        pusha
        call service
        popa
.last:  iret

service:
        push bp
        mov bp, sp
.stop:  pop bp
        ret

; The timer, as often as it comes by itself, until it came once.
waiting:
        push bp
        mov bp, sp
        mov al, 0x11                        ; ICW1: edges, ICW4 follows
        out PIC, al
        mov al, TIMER_VECTOR
        out PIC + 1, al
        mov al, 4
        out PIC + 1, al
        mov al, 1
        out PIC + 1, al
        mov al, 0xFE                        ; IRQ 0 alone
        out PIC + 1, al
        mov al, 0x34                        ; channel 0, rate generator
        out 0x43, al
        mov al, 0
        out 0x40, al
        mov al, 4
        out 0x40, al
        xor bx, bx
        sti
.loop:  test bx, bx
        jz .loop
        cli
        pop bp
        ret

timer_interrupt:
        push ax
        inc bx
.stop:  mov al, 0x20                        ; end of interrupt
        out PIC, al
        pop ax
        iret

recursive:
        push bp
        mov bp, sp
        dec cx
        jz .back
.call:  call recursive
.back:  pop bp
        ret

broken: mov bp, 0xABCD
        call broken_leaf
        ret

broken_leaf:
        push bx
.stop:  pop bx
        ret

        times 510 - ($ - $$) db 0
        dw 0xAA55
