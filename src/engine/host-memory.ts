/**
 * The host's physical memory: one `WebAssembly.Memory`. A host-physical address (HPA) is an offset in it.
 * The low part holds the processor's own state, TLB and decoded code (`layout.ts`); frames for guests and their
 * tables come after. Host pages are committed by the operating system at the first touch, so size costs nothing.
 */

export const PAGE_SIZE = 4096

export class HostMemory {
  readonly memory: WebAssembly.Memory
  readonly size: number
  readonly u8: Uint8Array
  readonly u16: Uint16Array
  readonly u32: Uint32Array
  readonly i32: Int32Array
  readonly u64: BigUint64Array
  readonly f64: Float64Array
  readonly view: DataView

  /** @param bytes a multiple of 64 KiB, at most 4 GiB (the end of a 32-bit WebAssembly memory). */
  constructor(bytes: number) {
    const pages = bytes / 65536
    if (!Number.isInteger(pages) || pages < 1 || pages > 65536)
      throw new RangeError(`host memory: ${bytes} bytes is not a multiple of 64 KiB up to 4 GiB`)
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages })
    this.size = bytes
    const buffer = this.memory.buffer
    this.u8 = new Uint8Array(buffer)
    this.u16 = new Uint16Array(buffer)
    this.u32 = new Uint32Array(buffer)
    this.i32 = new Int32Array(buffer)
    this.u64 = new BigUint64Array(buffer)
    this.f64 = new Float64Array(buffer)
    this.view = new DataView(buffer)
  }
}
