/** Descriptor tables decoded (SDM vol. 3, 3.4.5, 3.5, 6.11, 6.14.1). */

export interface SegmentDescriptor {
  readonly kind: 'null' | 'code' | 'data' | 'system'
  /** Its selector with RPL 0. */
  readonly selector: number
  readonly base: bigint
  /** In bytes, granularity applied. */
  readonly limit: number
  readonly type: string
  readonly dpl: number
  readonly present: boolean
  /** Default operand size of code; size of the stack pointer for data. */
  readonly bits: 16 | 32 | 64
  /** Bytes it takes in the table: 16 for a system descriptor of long mode. */
  readonly size: 8 | 16
}

export interface GateDescriptor {
  readonly vector: number
  readonly type: 'interrupt gate' | 'trap gate' | 'task gate' | 'unused'
  readonly selector: number
  readonly offset: bigint
  readonly dpl: number
  readonly present: boolean
  /** Interrupt stack table index; 0 outside long mode. */
  readonly ist: number
}

/** Table 3-2 with the names of long mode where both exist; the index is the type field. */
const SYSTEM_TYPES = [
  'reserved',
  '16-bit TSS (available)',
  'LDT',
  '16-bit TSS (busy)',
  '16-bit call gate',
  'task gate',
  '16-bit interrupt gate',
  '16-bit trap gate',
  'reserved',
  'TSS (available)',
  'reserved',
  'TSS (busy)',
  'call gate',
  'reserved',
  'interrupt gate',
  'trap gate',
] as const

/**
 * The descriptors of a GDT or LDT.
 * @param table its bytes; a last descriptor that is cut off is left out
 */
export function decodeSegmentTable(table: Uint8Array, longMode: boolean): SegmentDescriptor[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  const descriptors: SegmentDescriptor[] = []
  for (let at = 0; at + 8 <= table.length; ) {
    const descriptor = decodeSegmentDescriptor(view, at, longMode)
    descriptors.push(descriptor)
    at += descriptor.size
  }
  return descriptors
}

function decodeSegmentDescriptor(view: DataView, at: number, longMode: boolean): SegmentDescriptor {
  const low = view.getUint32(at, true)
  const high = view.getUint32(at + 4, true)
  const type = (high >> 8) & 0xf
  const system = (high & (1 << 12)) === 0
  const rawLimit = (low & 0xffff) | (high & 0xf0000)
  const granular = (high & (1 << 23)) !== 0
  const base32 = ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff000000)) >>> 0
  const wide = system && longMode && type !== 0 && at + 16 <= view.byteLength
  const base = BigInt(base32) | (wide ? BigInt(view.getUint32(at + 8, true)) << 32n : 0n)
  const empty = low === 0 && high === 0
  return {
    kind: empty ? 'null' : system ? 'system' : type & 8 ? 'code' : 'data',
    selector: at,
    base,
    limit: granular ? rawLimit * 4096 + 4095 : rawLimit,
    type: empty ? 'null' : system ? SYSTEM_TYPES[type] : applicationType(type),
    dpl: (high >> 13) & 3,
    present: (high & (1 << 15)) !== 0,
    bits: type & 8 && !system && high & (1 << 21) ? 64 : high & (1 << 22) ? 32 : 16,
    size: wide ? 16 : 8,
  }
}

/** Table 3-1. */
function applicationType(type: number): string {
  const parts = type & 8 ? ['code', type & 2 ? 'execute/read' : 'execute'] : ['data', type & 2 ? 'read/write' : 'read']
  if (type & 4) parts.push(type & 8 ? 'conforming' : 'expand-down')
  if (type & 1) parts.push('accessed')
  return parts.join(', ')
}

/** The gates of an IDT. Real mode has a vector table of far pointers instead. */
export function decodeInterruptTable(table: Uint8Array, mode: 'real' | 'protected' | 'long'): GateDescriptor[] {
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  const size = mode === 'real' ? 4 : mode === 'protected' ? 8 : 16
  const gates: GateDescriptor[] = []
  for (let at = 0; at + size <= table.length && gates.length < 256; at += size)
    gates.push(mode === 'real' ? realVector(view, at) : decodeGate(view, at, mode === 'long'))
  return gates
}

function realVector(view: DataView, at: number): GateDescriptor {
  return {
    vector: at / 4,
    type: 'interrupt gate',
    selector: view.getUint16(at + 2, true),
    offset: BigInt(view.getUint16(at, true)),
    dpl: 0,
    present: true,
    ist: 0,
  }
}

function decodeGate(view: DataView, at: number, longMode: boolean): GateDescriptor {
  const low = view.getUint32(at, true)
  const high = view.getUint32(at + 4, true)
  const type = (high >> 8) & 0x1f
  const upper = longMode ? BigInt(view.getUint32(at + 8, true)) : 0n
  return {
    vector: at / (longMode ? 16 : 8),
    type:
      type === 5 ? 'task gate' : (type & 0x17) === 6 ? 'interrupt gate' : (type & 0x17) === 7 ? 'trap gate' : 'unused',
    selector: low >>> 16,
    offset: (BigInt((low & 0xffff) | (high & 0xffff0000)) & 0xffffffffn) | (upper << 32n),
    dpl: (high >> 13) & 3,
    present: (high & (1 << 15)) !== 0,
    ist: longMode ? high & 7 : 0,
  }
}
