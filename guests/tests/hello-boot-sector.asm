; A boot sector: 16-bit code at 0:7C00 in real mode. Says hello on COM1 (there may be no BIOS to ask) and ends with
; debug-exit 5.
bits 16
%ifidn __OUTPUT_FORMAT__, bin
org 0x7C00                                  ; an ELF file, for its symbols, gets it from the linker
%endif

start:  jmp 0:.here                         ; #start: some loaders enter at 07C0:0000
.here:  xor ax, ax
        mov ds, ax
        cld
        mov si, text
.next:  lodsb                               ; #next
        test al, al
        jz .end
        mov dx, 0x3F8
        out dx, al
        jmp .next
.end:   mov al, 5
        out 0xF4, al
        cli
        hlt

text:   db "hello from real mode", 10, 0

        times 510 - ($ - $$) db 0
        dw 0xAA55
