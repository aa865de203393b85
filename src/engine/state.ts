/**
 * The layout of the processor's state in linear memory: one table from which the code generator,
 * the accessors (`cpu-state.ts`) and saved state are derived.
 *
 * The running vCPU's state always lies at {@link STATE_BASE}; vCPUs take turns by copying
 * {@link STATE_SIZE} bytes in and out, so that generated code addresses it with constants.
 */

/** Address of the running vCPU's state in the engine's memory. */
export const STATE_BASE = 0x1000
/** Bytes of one vCPU's state: everything that is saved, copied and restored. */
export const STATE_SIZE = 0x1000

let cursor = STATE_BASE
function field(bytes: number, align = Math.min(bytes, 8)): number {
  cursor = Math.ceil(cursor / align) * align
  const at = cursor
  cursor += bytes
  return at
}

/** General registers in encoding order (RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8-R15), 8 bytes each. */
export const GPR = field(16 * 8, 64)
/** Always zero: the base or index "register" of an operand that has none. */
export const ZERO = field(8)
/** RIP of the first instruction of the running block; the base "register" of RIP-relative operands. */
export const BLOCK_RIP = field(8)
/** RIP of the next instruction; current whenever TypeScript runs between blocks. */
export const RIP = field(8)

/** Lazy flags: the last result, sign-extended from the operand size: ZF, SF and PF derive from it. */
export const FLAG_RESULT = field(8)
/** Lazy flags: a XOR b of the last operation, sign-extended; with the result it gives OF (bit 63) and AF (bit 4). */
export const FLAG_XOR = field(8)
/**
 * Lazy flags: bit 0 is CF; bit 2 inverts the PF derived from the result and bit 7 inverts the SF,
 * so that every combination which POPF or SAHF can load is representable.
 */
export const FLAG_CARRY = field(4)
/** RFLAGS without CF, PF, AF, ZF, SF, OF: TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID and bit 1. */
export const FLAG_SYSTEM = field(4)

/** Bytes of one segment cache: base (i64 at 0), limit in bytes (u32 at 8), access rights (u32 at 12), selector (u32 at 16). */
export const SEGMENT_STRIDE = 24
export const SEGMENT_BASE = 0
export const SEGMENT_LIMIT = 8
/** Access rights in the format of the VMCS (SDM vol. 3, 25.4.1, table 25-2): type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15, unusable 16. */
export const SEGMENT_RIGHTS = 12
export const SEGMENT_SELECTOR = 16
/** Segment caches in encoding order ES, CS, SS, DS, FS, GS, then LDTR and TR. */
export const SEGMENTS = field(8 * SEGMENT_STRIDE, 8)
export const GDTR_BASE = field(8)
export const IDTR_BASE = field(8)
export const GDTR_LIMIT = field(4)
export const IDTR_LIMIT = field(4)

export const CR0 = field(8)
export const CR2 = field(8)
export const CR3 = field(8)
export const CR4 = field(8)
export const XCR0 = field(8)
export const EFER = field(8)
/** DR0 to DR7, 8 bytes each (4 and 5 unused). */
export const DR = field(8 * 8)

export const MSR_STAR = field(8)
export const MSR_LSTAR = field(8)
export const MSR_CSTAR = field(8)
export const MSR_FMASK = field(8)
export const MSR_KERNEL_GS_BASE = field(8)
export const MSR_SYSENTER_CS = field(8)
export const MSR_SYSENTER_ESP = field(8)
export const MSR_SYSENTER_EIP = field(8)
export const MSR_PAT = field(8)
export const MSR_APIC_BASE = field(8)
export const MSR_TSC_ADJUST = field(8)
export const MSR_TSC_AUX = field(8)
export const MSR_MISC_ENABLE = field(8)
export const MSR_DEBUGCTL = field(8)
export const MSR_MTRR_DEF_TYPE = field(8)
/** 8 variable MTRR pairs (base, mask), then 11 fixed-range registers, 8 bytes each. */
export const MSR_MTRR_VARIABLE = field(16 * 8)
export const MSR_MTRR_FIXED = field(11 * 8)
/** Hardware configuration of the K8 family (MSR 0xc0010015). */
export const MSR_HWCR = field(8)

/** Current privilege level, 0 to 3. */
export const CPL = field(4)
/** Block mode: see `mode.ts`; a function of CR0, EFER, CS, the flatness of segments, RFLAGS.VM. */
export const MODE = field(4)
/** VMCS interruptibility state (SDM vol. 3, 25.4.2, table 25-3), a sum. */
export const INTERRUPTIBILITY = field(4)
/** In {@link INTERRUPTIBILITY}: MOV SS holds off interrupts and debug exceptions for one instruction (SDM vol. 3, 6.8.3). */
export const BLOCKED_BY_MOV_SS = 2
/** In {@link INTERRUPTIBILITY}: STI holds interrupts off for one instruction. */
export const BLOCKED_BY_STI = 1
/** In {@link INTERRUPTIBILITY}: interrupts are held off. */
export const SHADOW = BLOCKED_BY_STI | BLOCKED_BY_MOV_SS
/** In {@link INTERRUPTIBILITY}: an NMI is being handled. */
export const BLOCKED_BY_NMI = 8
/** VMCS activity state (SDM vol. 3, 25.4.2). */
export const ACTIVITY = field(4)
export const ACTIVITY_ACTIVE = 0
export const ACTIVITY_HLT = 1
export const ACTIVITY_SHUTDOWN = 2
export const ACTIVITY_WAIT_FOR_SIPI = 3
/** Debug exceptions that wait for the end of the instruction (SDM vol. 3, 25.4.2), in the format of DR6. */
export const PENDING_DEBUG = field(4)
/**
 * What the last instruction tells whatever comes before the next: {@link ENDED_REPEATING}, {@link ENDED_UNSTEPPED} or 0.
 */
export const ENDED = field(4)
/** In {@link ENDED}: a repeated string instruction has iterations left, and RIP is still at it. */
export const ENDED_REPEATING = 1
/** In {@link ENDED}: the instruction has cleared TF as an event does, and no single-step trap follows it. */
export const ENDED_UNSTEPPED = 2
/** Count of instructions at the last delivery of an event (f64), and how many deliveries there have been at it. */
export const DELIVERED_AT = field(8)
export const DELIVERIES = field(4)

/** x87 data registers R0 to R7 in physical order, 16 bytes each, the 80-bit value in the low 10; MM0-MM7 are their low 64 bits. */
export const X87_REGISTERS = field(8 * 16, 16)
export const X87_CONTROL = field(4)
/** Status word without TOP, which is {@link X87_TOP}. */
export const X87_STATUS = field(4)
export const X87_TOP = field(4)
/** Abridged tag word as in FXSAVE: bit i set when R(i) is not empty. */
export const X87_TAGS = field(4)
export const X87_OPCODE = field(4)
export const X87_CS = field(4)
export const X87_DS = field(4)
export const X87_IP = field(8)
export const X87_DP = field(8)

export const MXCSR = field(4)
/** Bytes of one vector register's slot. */
export const VECTOR_STRIDE = 32
/** YMM0 to YMM15, with XMM0 to XMM15 in the low half of each slot. */
export const VECTORS = field(16 * VECTOR_STRIDE, 64)

/** Tag bits of the ASID that data accesses use now (i64, low 12 bits). */
export const ASID = field(8)
/** Identity of the fetch context: ASID and block mode in one i32; part of every jump-cache tag. */
export const FETCH_CONTEXT = field(4)
/** Instructions that may retire before TypeScript must be asked (i32; the run limit minus the count). */
export const BUDGET = field(4)
/** Time-stamp counter at which {@link BUDGET} reaches zero. */
export const TSC_LIMIT = field(8)
/** Where the branch that missed the jump cache wants its target remembered, or 0. */
export const LINK_SLOT = field(4)
/** The constants 2^31 and -2^31, for a RIP-relative displacement that leaves 32 bits when counted from the block's start. */
export const BIAS = field(8)
export const NEGATIVE_BIAS = field(8)
/** Set by TypeScript when an interrupt or another event waits: code that opens a window leaves to TypeScript. */
export const EVENT_PENDING = field(4)
/** Value of a slow access: what was read, or what is to be written (32 bytes). */
export const ACCESS_VALUE = field(32, 16)
/** Room for a read-modify-write operand that has no single host address (device, page crossing). */
export const ACCESS_BUFFER = field(64, 64)

/** What an SSE instruction raises here and now: 0 nothing, 6 #UD (CR0.EM, or CR4.OSFXSR clear), 7 #NM (CR0.TS). Derived whenever CR0 or CR4 changes. */
export const VECTOR_CHECK = field(4)
/** The same for MMX: 6 for CR0.EM, 7 for CR0.TS. Pending x87 exceptions (#MF) are seen in {@link X87_STATUS}. */
export const MMX_CHECK = field(4)
/** 6 (#UD) where VEX prefixes are not recognized: real and virtual-8086 mode. */
export const VEX_CHECK = field(4)
/** What an instruction on YMM registers or with a VEX prefix on XMM registers raises: 0 nothing, 6 #UD, 7 #NM. Derived from CR0, CR4, XCR0 and the mode. */
export const AVX_CHECK = field(4)
/** Operands of a vector instruction that software floating point executes: first and second source, and the addend of FMA; and its result. */
export const SSE_A = field(16, 16)
export const SSE_B = field(16, 16)
export const SSE_C = field(16, 16)
export const SSE_RESULT = field(16, 16)
/** Exceptions that the halves of a 256-bit operation have found so far, as bits of MXCSR; 0 between instructions. */
export const SSE_PENDING = field(4)

/** PDPTE registers 0 to 3 of PAE paging (SDM vol. 3, 4.4.1). */
export const PDPTES = field(4 * 8, 8)
/** Rights of the protection keys, two bits each. */
export const PKRU = field(4)
/** State of the stream that RDRAND and RDSEED take numbers from. */
export const RANDOM = field(8)
/** Bit 20 while the A20M# pin keeps that address line low, else 0. */
export const A20_MASK = field(4)

if (cursor > STATE_BASE + STATE_SIZE) throw new RangeError('processor state outgrew STATE_SIZE')
