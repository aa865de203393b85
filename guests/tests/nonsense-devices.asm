; Reads and writes every port, and the pages of every memory-mapped device, in all sizes with random values. Left out
; are only those that end the run by design. Whoever runs this must still be there at the end.
%include "multiboot.inc"

%define ROUNDS 3

section .text
start:  mov esp, 0x80000
        mov ebx, 0x9E3779B9                 ; state of the random numbers
        mov ebp, ROUNDS
.round: xor edi, edi
.port:  mov edx, edi
        call ends_the_run
        je .next_port
        in al, dx
        in ax, dx
        in eax, dx
        call random
        out dx, al
        call random
        test edi, 3                         ; wide accesses reach into the next ports: only from multiples of 4
        jnz .next_port
        push edx
        add edx, 3
        call ends_the_run
        pop edx
        je .next_port
        out dx, ax
        call random
        out dx, eax
.next_port:
        inc edi
        cmp edi, 0x10000
        jb .port

        mov esi, pages
.page:  mov edi, [esi]
        test edi, edi
        jz .next_round
        mov ecx, 1024
.word:  mov eax, [edi]
        mov al, [edi + 1]
        call random
        mov [edi], eax
        call random
        mov [edi + 2], ax
        add edi, 4
        loop .word
        add esi, 4
        jmp .page
.next_round:
        dec ebp
        jnz .round

        ; The serial port has heard nonsense, too: 8 data bits, no interrupts, no loopback.
        mov dx, COM1 + 3
        mov al, 3
        out dx, al
        mov dx, COM1 + 1
        xor eax, eax
        out dx, al
        mov dx, COM1 + 4
        out dx, al
        mov dx, COM1 + 2
        out dx, al
        print 10, "survived", 10
        leave_with 0

; Next random number in EAX (xorshift).
random: mov eax, ebx
        shl eax, 13
        xor ebx, eax
        mov eax, ebx
        shr eax, 17
        xor ebx, eax
        mov eax, ebx
        shl eax, 5
        xor ebx, eax
        mov eax, ebx
        ret

; ZF set when DX lies in the group of four ports of one that resets, powers off or leaves.
ends_the_run:
        push ecx
        push esi
        movzx ecx, dx
        and ecx, ~3
        mov esi, endings
.next:  cmp dword [esi], -1
        je .no
        cmp ecx, [esi]
        je .end
        add esi, 4
        jmp .next
.no:    or esi, esi                         ; clears ZF
.end:   pop esi
        pop ecx
        ret

section .rodata
align 4
endings:
        dd 0x64                             ; keyboard controller: resets the processor
        dd 0x90                             ; port 0x92: fast reset
        dd 0xF4                             ; debug-exit
        dd 0x604                            ; ACPI PM1a control: power-off
        dd 0xB000, 0xB004                   ; the same of a machine without Ringside's or QEMU's firmware
        dd 0xCF8                            ; 0xCF9: reset control
        dd -1
pages:  dd 0xFEC00000                       ; I/O APIC
        dd 0xFED00000                       ; HPET
        dd 0xFEE00000                       ; local APIC
        dd 0xB8000                          ; VGA text
        dd 0
