/** A case or a result: all that one instruction sees and leaves. The same bytes as `struct record` in native.c. */

export const RECORD_SIZE = 832

/** Linear addresses, the same on the host and in the engine. */
export const WINDOW_PAGE = 0x20000000
export const WINDOW = WINDOW_PAGE + 0x800
export const WINDOW_SIZE = 128
export const RECORD_PAGE = 0x20010000
export const CODE_PAGE = 0x20020000

/** Value of `vector` when the instruction completed. */
export const NO_EXCEPTION = 0xffffffffffffffffn

const GPR = 512
const RFLAGS = 640
const VECTOR = 648
const CODE_LENGTH = 656
const CODE = 664
const WINDOW_CONTENT = 688

/** Layout of an FXSAVE64 image (SDM vol. 1, table 10-2). */
const FCW = 0
const FSW = 2
const FTW = 4
const MXCSR = 24
const ST = 32
const XMM = 160

export class CaseRecord {
  readonly bytes: Uint8Array
  readonly #view: DataView

  constructor(bytes: Uint8Array = new Uint8Array(RECORD_SIZE)) {
    this.bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE)
  }

  clone(): CaseRecord {
    return new CaseRecord(this.bytes.slice())
  }

  /** The FXSAVE64 image itself. */
  get fx(): Uint8Array {
    return this.bytes.subarray(0, 512)
  }

  /** In encoding order: rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to r15. */
  gpr(index: number): bigint {
    return this.#view.getBigUint64(GPR + index * 8, true)
  }

  setGpr(index: number, value: bigint): void {
    this.#view.setBigUint64(GPR + index * 8, value, true)
  }

  get rflags(): bigint {
    return this.#view.getBigUint64(RFLAGS, true)
  }

  set rflags(value: bigint) {
    this.#view.setBigUint64(RFLAGS, value, true)
  }

  get vector(): bigint {
    return this.#view.getBigUint64(VECTOR, true)
  }

  set vector(value: bigint) {
    this.#view.setBigUint64(VECTOR, value, true)
  }

  get code(): Uint8Array {
    return this.bytes.subarray(CODE, CODE + Number(this.#view.getBigUint64(CODE_LENGTH, true)))
  }

  set code(value: Uint8Array) {
    this.#view.setBigUint64(CODE_LENGTH, BigInt(value.length), true)
    this.bytes.set(value, CODE)
  }

  get window(): Uint8Array {
    return this.bytes.subarray(WINDOW_CONTENT, WINDOW_CONTENT + WINDOW_SIZE)
  }

  /** The eight bytes of the window at linear `address`. */
  windowWord(address: number): bigint {
    return this.#view.getBigUint64(WINDOW_CONTENT + address - WINDOW, true)
  }

  setWindowWord(address: number, value: bigint): void {
    this.#view.setBigUint64(WINDOW_CONTENT + address - WINDOW, value, true)
  }

  get fcw(): number {
    return this.#view.getUint16(FCW, true)
  }

  set fcw(value: number) {
    this.#view.setUint16(FCW, value, true)
  }

  get fsw(): number {
    return this.#view.getUint16(FSW, true)
  }

  set fsw(value: number) {
    this.#view.setUint16(FSW, value, true)
  }

  /** One bit for each physical x87 register: 1 is not empty. */
  get ftw(): number {
    return this.bytes[FTW]
  }

  set ftw(value: number) {
    this.bytes[FTW] = value
  }

  get mxcsr(): number {
    return this.#view.getUint32(MXCSR, true)
  }

  set mxcsr(value: number) {
    this.#view.setUint32(MXCSR, value, true)
  }

  /** The ten bytes of ST(i). */
  st(index: number): Uint8Array {
    return this.bytes.subarray(ST + index * 16, ST + index * 16 + 10)
  }

  /** The 16 bytes of an XMM register. */
  xmm(index: number): Uint8Array {
    return this.bytes.subarray(XMM + index * 16, XMM + index * 16 + 16)
  }
}
