; Shows the scan codes of keys on the VGA's screen, and halts between them, until Escape is let go. After F12 it hears no
; more of them.
bits 16
org 0x7c00

PIC       equ 0x20
PIC_DATA  equ 0x21
END_OF_INTERRUPT equ 0x20
KEYBOARD_VECTOR equ 9
KEYBOARD_DATA equ 0x60
KEYBOARD_COMMAND equ 0x64
DISABLE_KEYBOARD equ 0xad
CRTC      equ 0x3d4
DEBUG_EXIT equ 0xf4
ESCAPE_UP equ 0x81
F12_DOWN  equ 0x58
TITLE_COLORS equ 0x1f
KEY_COLORS equ 0x8e

        xor ax, ax
        mov ds, ax
        mov ss, ax
        mov sp, 0x7c00
        mov word [KEYBOARD_VECTOR * 4], keyboard
        mov [KEYBOARD_VECTOR * 4 + 2], ax
        mov ax, 0xb800
        mov es, ax

        ; The first PIC at vectors 8 to 15, with nothing but the keyboard let through.
        mov al, 0x11
        out PIC, al
        mov al, 0x08
        out PIC_DATA, al
        mov al, 0x04
        out PIC_DATA, al
        mov al, 0x01
        out PIC_DATA, al
        mov al, 0xfd
        out PIC_DATA, al

        xor di, di
        mov si, title
        mov ah, TITLE_COLORS
.next:  lodsb
        test al, al
        jz .ready
        stosw
        jmp .next
.ready: mov di, 160
        sti
.wait:  hlt
        jmp .wait

keyboard:
        in al, KEYBOARD_DATA
        mov bl, al
        cmp al, ESCAPE_UP
        je .end
        cmp al, F12_DOWN
        jne .show
        mov al, DISABLE_KEYBOARD
        out KEYBOARD_COMMAND, al
        mov al, bl
.show:  mov ah, KEY_COLORS
        shr al, 4
        call digit
        mov al, bl
        and al, 0x0f
        call digit
        mov al, ' '
        stosw
        ; The cursor is behind it.
        mov bx, di
        shr bx, 1
        mov dx, CRTC
        mov al, 0x0e
        mov ah, bh
        out dx, ax
        mov al, 0x0f
        mov ah, bl
        out dx, ax
        mov al, END_OF_INTERRUPT
        out PIC, al
        iret
.end:   xor al, al
        out DEBUG_EXIT, al

; Shows AL as a hexadecimal digit.
digit:  add al, '0'
        cmp al, '9'
        jbe .show
        add al, 'a' - '0' - 10
.show:  stosw
        ret

title:  db "Keys", 0

times 510 - ($ - $$) db 0
dw 0xaa55
