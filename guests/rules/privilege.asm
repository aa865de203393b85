; Sweeps over descriptors and page-table entries, in 64-bit mode, from rings 0 and 3: what each of a dozen instructions
; does with every access byte of a descriptor, and what each access does with every combination of rights of a page.
; Results are records on the debug console at port 0xE9; test/privilege/records.ts says the same as the loops here.
; Of cases in a row that end alike there is one record, with their number.
; A Multiboot 1 kernel with load addresses, so that a flat binary is enough. Ends with debug-exit 0.

%define DEBUG_CONSOLE 0xE9
%define DEBUG_EXIT 0xF4

%define PML4 0x140000
%define PDPT 0x141000
%define PAGE_DIRECTORY 0x142000
%define LOW_TABLE 0x143000                  ; 0 to 2 MB
%define TEST_TABLE 0x144000                 ; 4 to 6 MB
%define KERNEL_STACK 0x150000
%define USER_STACK 0x161000                 ; its page is at 0x160000
%define TEST_FRAME 0x170000
%define TEST_PAGE 0x400000

%define KERNEL_CODE 0x08
%define KERNEL_DATA 0x10
%define USER_DATA 0x1B
%define USER_CODE 0x23
%define TASK 0x28
%define SWEPT 0x40                          ; 16 bytes

%define NONE 0x30                           ; the interrupt behind an instruction that did not fault
%define LANDED 0x31                         ; the one where transfers lead
%define FLAG_AC 0x40000
%define ASK_LAR 5                           ; among the instructions

%define LOAD 0x100000
; A label as a number, to calculate with.
%define number(label) (label - $$ + LOAD)
org LOAD
bits 32
header: dd 0x1BADB002, 0x10000, -(0x1BADB002 + 0x10000)
        dd header, header, image_end, 0, start

start:  mov esp, KERNEL_STACK
        mov edi, PML4
        mov ecx, 0x5000 / 4
        xor eax, eax
        cld
        rep stosd
        mov dword [PML4], PDPT | 7
        mov dword [PDPT], PAGE_DIRECTORY | 7
        mov dword [PAGE_DIRECTORY], LOW_TABLE | 7
        mov dword [PAGE_DIRECTORY + 16], TEST_TABLE | 7
        mov edi, LOW_TABLE
        mov eax, 3
.low:   mov [edi], eax
        add edi, 8
        add eax, 0x1000
        cmp eax, 0x200003
        jb .low
        or dword [LOW_TABLE + (number(user) >> 12 & 511) * 8], 4
        or dword [LOW_TABLE + 0x160 * 8], 4
        mov byte [TEST_FRAME], 0xC3         ; ret
        mov eax, 0x6A0                      ; PAE, PGE, OSFXSR, OSXMMEXCPT
        mov cr4, eax
        mov eax, PML4
        mov cr3, eax
        mov ecx, 0xC0000080
        mov eax, 0x901                      ; SCE, LME, NXE
        xor edx, edx
        wrmsr
        mov eax, 0x80010033
        mov cr0, eax
        lgdt [gdt_pointer]
        jmp KERNEL_CODE:wide

bits 64
default abs
wide:   mov eax, KERNEL_DATA
        mov ss, eax
        mov ds, eax
        mov es, eax
        mov eax, tss
        mov [gdt + TASK + 2], ax
        shr eax, 16
        mov [gdt + TASK + 4], al
        mov [gdt + TASK + 7], ah
        mov eax, TASK
        ltr ax
        lidt [idt_pointer]
        mov ebx, 0                          ; vector
.gate:  mov edi, ebx
        shl edi, 4
        add edi, idt
        lea eax, [stubs + rbx * 8]
        mov [rdi], ax
        shr eax, 16
        mov [rdi + 6], ax
        mov word [rdi + 2], KERNEL_CODE
        mov word [rdi + 4], 0xEE00
        inc ebx
        cmp ebx, 64
        jb .gate
        call pages
        call descriptors
        mov al, 0
        out DEBUG_EXIT, al
        cli
        hlt

; --- what a case ends in

stubs:
%assign vector 0
%rep 64
        push strict byte vector
        jmp strict near taken
        align 8
%assign vector vector + 1
%endrep

; The stack holds the vector, an error code for some, RIP, CS, RFLAGS, RSP and SS.
taken:  mov [result.ecx], ecx
        pop rax
        mov [result.vector], al
        xor ecx, ecx
        mov edx, 1 << 8 | 1 << 10 | 1 << 11 | 1 << 12 | 1 << 13 | 1 << 14 | 1 << 17
        cmp al, 32
        jae .plain
        bt edx, eax
        jnc .plain
        pop rcx
.plain: mov [result.error], cx
        mov rax, [rsp + 8]
        mov [result.cs], ax
        mov rax, [rsp + 32]
        mov [result.ss], ax
        mov rax, [rsp + 16]
        shr eax, 6
        and eax, 1
        mov [result.zero], al
        mov eax, KERNEL_DATA
        mov ss, eax
        mov ds, eax
        mov es, eax
        mov rsp, [resume_stack]
        push 2
        popfq
        jmp [resume]

; Runs the code at RSI in the ring in [ring], with RAX and RFLAGS in [flags]; comes back with the result stored.
run:    pop qword [resume]
        mov [resume_stack], rsp
        cmp byte [ring], 0
        jne .outer
        push qword [flags]
        popfq
        jmp rsi
.outer: push USER_DATA
        push USER_STACK
        push qword [flags]
        push USER_CODE
        push rsi
        iretq

; ECX bytes from RSI to the debug console.
send:   mov edx, DEBUG_CONSOLE
        rep outsb
        ret

; Counts a result like the one before, or sends that one; access bytes are taken out, so that what they change remains.
collect:
        mov al, [access]
        xor [result.entry], al
        cmp byte [result.zero], 0
        je .compare
        cmp dword [instruction], ASK_LAR
        jne .compare
        xor [result.ecx + 1], al
.compare:
        mov esi, result
        mov edi, last
        mov ecx, 4
        repe cmpsd
        je .same
        call flush
        mov esi, result
        mov edi, last
        mov ecx, 4
        rep movsd
.same:  inc dword [count]
        ret

; Sends what was collected.
flush:  cmp dword [count], 0
        je .none
        mov esi, count
        mov ecx, 20
        call send
        mov dword [count], 0
.none:  ret

; --- rights of pages: by CR0.WP, CR4.SMEP, CR4.SMAP and AC, the level of the entry, its rights, ring and access

pages:  mov dword [modes], 0
.mode:  mov rax, cr0
        and eax, ~0x10000
        test byte [modes], 1
        jz .wp
        or eax, 0x10000
.wp:    mov cr0, rax
        mov rax, cr4
        and eax, ~0x300000
        test byte [modes], 2
        jz .smep
        or eax, 0x100000
.smep:  test byte [modes], 4
        jz .smap
        or eax, 0x200000
.smap:  mov cr4, rax
        mov dword [flags], 2
        test byte [modes], 8
        jz .ac
        mov dword [flags], 2 | FLAG_AC
.ac:    mov dword [entry], 0                ; bits 0 to 3: P, R/W, U/S, XD; bit 4: of the page directory's entry
.entry: mov dword [access], 0               ; bits 0 and 1: read, write, fetch; bit 2: ring 3
.access:
        mov eax, [access]
        and eax, 3
        cmp eax, 3
        je .next
        mov qword [TEST_TABLE], TEST_FRAME | 7
        mov qword [PAGE_DIRECTORY + 16], TEST_TABLE | 7
        mov edi, TEST_TABLE
        mov ebx, TEST_FRAME
        test byte [entry], 16
        jz .leaf
        mov edi, PAGE_DIRECTORY + 16
        mov ebx, TEST_TABLE
.leaf:  mov eax, [entry]
        and eax, 7
        or ebx, eax
        mov rax, [entry]
        and eax, 8
        shl rax, 60
        or rax, rbx
        mov [rdi], rax
        mov rax, cr3
        mov cr3, rax
        mov eax, [access]
        shr eax, 2
        mov [ring], al
        mov eax, [access]
        and eax, 3
        mov esi, [accesses + rax * 4]
        call run
        mov rax, [TEST_TABLE]
        mov [result.entry], al
        mov byte [TEST_FRAME], 0xC3
        mov esi, result.vector
        mov ecx, 4
        call send
.next:  inc dword [access]
        cmp dword [access], 7
        jb .access
        inc dword [entry]
        cmp dword [entry], 32
        jb .entry
        inc dword [modes]
        cmp dword [modes], 16
        jb .mode
        mov rax, cr0
        or eax, 0x10000
        mov cr0, rax
        mov rax, cr4
        and eax, ~0x300000
        mov cr4, rax
        mov dword [flags], 2
        ret

; --- descriptors: by form, instruction, ring, RPL and access byte

descriptors:
        mov dword [form], 0
.form:  mov dword [instruction], 0
.instruction:
        mov byte [ring], 0
.ring:  mov byte [rpl], 0
.rpl:   mov dword [access], 0
.access:
        mov edi, [form]
        shl edi, 4
        mov rax, [forms + rdi]
        mov rbx, [forms + rdi + 8]
        mov rcx, [access]
        shl rcx, 40
        or rax, rcx
        mov [gdt + SWEPT], rax
        mov [gdt + SWEPT + 8], rbx
        and byte [gdt + TASK + 5], ~2       ; not busy
        mov eax, TASK
        ltr ax
        xor eax, eax
        lldt ax
        movzx eax, byte [rpl]
        or eax, SWEPT
        mov dword [far_pointer], landing
        mov [far_pointer + 4], ax
        xor ecx, ecx
        mov edi, [instruction]
        mov esi, [instructions + rdi * 4]
        call run
        mov al, [gdt + SWEPT + 5]
        mov [result.entry], al
        call collect
        inc dword [access]
        cmp dword [access], 256
        jb .access
        call flush
        add byte [rpl], 3
        cmp byte [rpl], 6
        jb .rpl
        inc byte [ring]
        cmp byte [ring], 2
        jb .ring
        inc dword [instruction]
        cmp dword [instruction], (instructions.end - instructions) / 4
        jb .instruction
        inc dword [form]
        cmp dword [form], (forms.end - forms) / 16
        jb .form
        ret

; --- data

align 8
resume: dq 0
resume_stack: dq 0
flags:  dq 2
entry:  dq 0
access: dq 0
modes:  dd 0
form:   dd 0
instruction: dd 0
ring:   db 0
rpl:    db 0

align 4
result:
.ecx:   dd 0
.cs:    dw 0
.ss:    dw 0
.vector: db 0
.entry: db 0
.error: dw 0
.zero:  dd 0
count:  dd 0
last:   times 4 dd 0

accesses: dd read_page, write_page, fetch_page
instructions:
        dd load_ds, load_ss, load_fs, load_ldtr, load_tr, ask_lar, ask_lsl, ask_verr, ask_verw, jump, call_far, return_far
        dd return_interrupt
.end:

; Low and high quadword without the access byte.
align 8
forms:  dq 0x00AF00000000FFFF, 0            ; a 64-bit segment, or a system descriptor with base 0
        dq 0x00CF00000000FFFF, 0            ; a 32-bit segment
        dq (number(landing) & 0xFFFF) | KERNEL_CODE << 16 | (number(landing) >> 16) << 48, 0
        dq (number(landing) & 0xFFFF) | USER_DATA << 16 | (number(landing) >> 16) << 48, 0
        dq (number(landing) & 0xFFFF) | (USER_CODE & ~3) << 16 | (number(landing) >> 16) << 48, 0
        dq 0x00EF00000000FFFF, 0            ; L and D
        dq 0x00AF00000000FFFF, 0x0000010000000000
.end:

align 16
gdt:    dq 0
        dq 0x00AF9B000000FFFF
        dq 0x00CF93000000FFFF
        dq 0x00CFF3000000FFFF
        dq 0x00AFFB000000FFFF
        dq 0x0000890000000067, 0
        dq 0
        dq 0, 0
gdt_end:
gdt_pointer: dw gdt_end - gdt - 1
        dq gdt
idt_pointer: dw 64 * 16 - 1
        dq idt
tss:    dd 0
        dq KERNEL_STACK - 0x1000
        times 90 db 0
        dw 104
        align 16
idt:    times 64 * 2 dq 0

; --- what runs in either ring, on a page of its own

        align 4096
user:
read_page:
        mov al, [TEST_PAGE]
        int NONE
write_page:
        mov byte [TEST_PAGE], 0xC3
        int NONE
fetch_page:
        mov ebx, TEST_PAGE
        call rbx
        int NONE
load_ds: mov ds, eax
        int NONE
load_ss: mov ss, eax
        int NONE
load_fs: mov fs, eax
        int NONE
load_ldtr: lldt ax
        int NONE
load_tr: ltr ax
        int NONE
ask_lar: lar ecx, eax
        int NONE
ask_lsl: lsl ecx, eax
        int NONE
ask_verr: verr ax
        int NONE
ask_verw: verw ax
        int NONE
jump:   jmp far dword [far_pointer]
call_far: call far dword [far_pointer]
return_far:
        push rax
        push landing
        o64 retf
return_interrupt:
        mov rbx, rsp
        mov edx, ss
        push rdx
        push rbx
        push 2
        push rax
        push landing
        iretq
landing: int LANDED
align 8
far_pointer: dd 0
        dw 0
        align 4096
image_end:
