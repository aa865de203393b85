/** A case or a result: all that one instruction sees and leaves. The same bytes as `struct record` in native.c. */

export const RECORD_SIZE = 2080

/** Linear addresses, the same on the host and in the engine. The pages beside these two are not mapped. */
export const WINDOW_PAGE = 0x20000000
/** Of the window's page so much is part of a record, and the rest is zero. */
export const WINDOW_OFFSET = 0x800
export const WINDOW_SIZE = 1024
export const WINDOW = WINDOW_PAGE + WINDOW_OFFSET
export const CODE_PAGE = 0x20008000

/** Layout of an XSAVE image in the standard format (SDM vol. 1, 13.4; table 10-2). */
const FCW = 0
const FSW = 2
const FTW = 4
const FOP = 6
const MXCSR = 24
const ST = 32
const XMM = 160
const YMM_HIGH = 576
export const XSAVE_SIZE = 832

const GPR = 832
const RFLAGS = 960
const RIP = 968
const FS_BASE = 976
const GS_BASE = 984
const CR2 = 992
const SELECTORS = 1000
const VECTOR = 1012
const ERROR_CODE = 1016
const CODE_LENGTH = 1020
const CODE_OFFSET = 1024
const CODE = 1032
const WINDOW_CONTENT = 1056

/** Segment registers in the order of a record. */
export const SEGMENT_ORDER = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'] as const

export class CaseRecord {
  readonly bytes: Uint8Array
  readonly view: DataView

  constructor(bytes: Uint8Array = new Uint8Array(RECORD_SIZE)) {
    this.bytes = bytes
    this.view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE)
  }

  clone(): CaseRecord {
    return new CaseRecord(this.bytes.slice())
  }

  /** The general registers, in encoding order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15. */
  get generalRegisters(): Uint8Array {
    return this.bytes.subarray(GPR, GPR + 128)
  }

  gpr(index: number): bigint {
    return this.view.getBigUint64(GPR + index * 8, true)
  }

  /** @param value of which the low 64 bits count */
  setGpr(index: number, value: bigint): void {
    this.view.setBigUint64(GPR + index * 8, BigInt.asUintN(64, value), true)
  }

  get rflags(): number {
    return this.view.getUint32(RFLAGS, true)
  }
  set rflags(value: number) {
    this.view.setUint32(RFLAGS, value, true)
  }

  /** Offset in the code segment: of the instruction before, and of the fault after. */
  get rip(): bigint {
    return this.view.getBigUint64(RIP, true)
  }
  set rip(value: bigint) {
    this.view.setBigUint64(RIP, BigInt.asUintN(64, value), true)
  }

  /** Bases of FS and GS; of interest in 64-bit mode, where they need no descriptor. */
  get fsBase(): bigint {
    return this.view.getBigUint64(FS_BASE, true)
  }
  set fsBase(value: bigint) {
    this.view.setBigUint64(FS_BASE, value, true)
  }
  get gsBase(): bigint {
    return this.view.getBigUint64(GS_BASE, true)
  }
  set gsBase(value: bigint) {
    this.view.setBigUint64(GS_BASE, value, true)
  }

  /** Linear address of a page fault, or 0. */
  get cr2(): bigint {
    return this.view.getBigUint64(CR2, true)
  }
  set cr2(value: bigint) {
    this.view.setBigUint64(CR2, value, true)
  }

  /** @param index in {@link SEGMENT_ORDER} */
  selector(index: number): number {
    return this.view.getUint16(SELECTORS + index * 2, true)
  }
  setSelector(index: number, value: number): void {
    this.view.setUint16(SELECTORS + index * 2, value, true)
  }

  /** Of the exception that ended the case: 13 of the HLT behind the instruction, unless it raised one itself. */
  get vector(): number {
    return this.view.getUint16(VECTOR, true)
  }
  set vector(value: number) {
    this.view.setUint16(VECTOR, value, true)
  }

  get errorCode(): number {
    return this.view.getUint32(ERROR_CODE, true)
  }
  set errorCode(value: number) {
    this.view.setUint32(ERROR_CODE, value, true)
  }

  /** Where the instruction stands in the code page. */
  get codeOffset(): number {
    return this.view.getUint32(CODE_OFFSET, true)
  }
  set codeOffset(value: number) {
    this.view.setUint32(CODE_OFFSET, value, true)
  }

  get code(): Uint8Array {
    return this.bytes.subarray(CODE, CODE + this.view.getUint32(CODE_LENGTH, true))
  }
  set code(value: Uint8Array) {
    this.view.setUint32(CODE_LENGTH, value.length, true)
    this.bytes.fill(0, CODE, CODE + 24)
    this.bytes.set(value, CODE)
  }

  get window(): Uint8Array {
    return this.bytes.subarray(WINDOW_CONTENT, WINDOW_CONTENT + WINDOW_SIZE)
  }

  /** The eight bytes of the window at linear `address`. */
  windowWord(address: number): bigint {
    return this.view.getBigUint64(WINDOW_CONTENT + address - WINDOW, true)
  }
  setWindowWord(address: number, value: bigint): void {
    this.view.setBigUint64(WINDOW_CONTENT + address - WINDOW, value, true)
  }

  get fcw(): number {
    return this.view.getUint16(FCW, true)
  }
  set fcw(value: number) {
    this.view.setUint16(FCW, value, true)
  }

  get fsw(): number {
    return this.view.getUint16(FSW, true)
  }
  set fsw(value: number) {
    this.view.setUint16(FSW, value, true)
  }

  /** One bit for each physical x87 register: 1 is not empty. */
  get ftw(): number {
    return this.bytes[FTW]
  }
  set ftw(value: number) {
    this.bytes[FTW] = value
  }

  /** Opcode and pointers of the last x87 instruction (FOP, FIP, FDP), as they stand in the image: 18 bytes. */
  get x87Pointers(): Uint8Array {
    return this.bytes.subarray(FOP, MXCSR)
  }

  get mxcsr(): number {
    return this.view.getUint32(MXCSR, true)
  }
  set mxcsr(value: number) {
    this.view.setUint32(MXCSR, value, true)
  }

  /** The ten bytes of ST(i). */
  st(index: number): Uint8Array {
    return this.bytes.subarray(ST + index * 16, ST + index * 16 + 10)
  }

  /** The 16 bytes of an XMM register. */
  xmm(index: number): Uint8Array {
    return this.bytes.subarray(XMM + index * 16, XMM + index * 16 + 16)
  }

  /** The upper 16 bytes of a YMM register. */
  ymmHigh(index: number): Uint8Array {
    return this.bytes.subarray(YMM_HIGH + index * 16, YMM_HIGH + index * 16 + 16)
  }
}
