/** The task that a processor of a running Linux kernel is at, by the symbols and types of its `vmlinux`. */

import { readLinear } from '../../inspect/linear-memory.ts'
import type { MachineView, VcpuView } from '../../inspect/machine-view.ts'
import { type StructType, stripped } from '../../symbols/dwarf/type-model.ts'
import { findMember } from '../expression/types-of-scope.ts'
import type { SymbolBook } from '../symbol-book.ts'

export interface RunningTask {
  /** `comm`: the program's name, at most 15 characters; `swapper/0` when the processor is idle. */
  readonly name: string
  readonly pid: number
}

/** `TASK_COMM_LEN`. */
const LONGEST_NAME = 16
/** With page-table isolation programs run on a root 4 KiB behind the kernel's (Documentation/arch/x86/pti.rst). */
const PTI_USER_ROOT = 0x1000n

/** undefined where no Linux kernel with its types is known, or it has not come so far. */
export function currentTask(book: SymbolBook, machine: MachineView, vcpu: VcpuView): RunningTask | undefined {
  const variable = currentVariable(book)
  if (variable === undefined) return undefined
  const task = structNamed(book, 'struct task_struct')
  const comm = task && findMember(task, 'comm')
  const pid = task && findMember(task, 'pid')
  if (task === undefined || comm === undefined || pid === undefined) return undefined
  const pointer = findMember(task, 'stack')?.type.size === 4 ? 4 : 8
  const memory = new KernelMemory(machine, vcpu)
  // A kernel for one processor has no offsets.
  const offsets = book.byName('__per_cpu_offset')?.address
  const offset = offsets === undefined ? 0n : memory.integer(offsets + BigInt(vcpu.index * pointer), pointer)
  if (offset === undefined) return undefined
  const address = memory.integer(BigInt.asUintN(pointer * 8, offset + variable), pointer)
  if (address === undefined || address === 0n) return undefined
  const name = memory.bytes(address + BigInt(comm.offset), LONGEST_NAME)
  const number = memory.integer(address + BigInt(pid.offset), 4)
  if (name === undefined || number === undefined) return undefined
  return { name: textOf(name), pid: Number(BigInt.asIntN(32, number)) }
}

/** Its offset for each processor: `current_task`, in Linux 6.2 to 6.14 `pcpu_hot.current_task`. */
function currentVariable(book: SymbolBook): bigint | undefined {
  const alone = book.byName('current_task')?.address
  if (alone !== undefined) return alone
  const hot = book.byName('pcpu_hot')?.address
  const struct = hot === undefined ? undefined : structNamed(book, 'struct pcpu_hot')
  const member = struct && findMember(struct, 'current_task')
  return hot === undefined || member === undefined ? undefined : hot + BigInt(member.offset)
}

function structNamed(book: SymbolBook, name: string): StructType | undefined {
  const type = stripped(book.findType(name))
  return type?.kind === 'struct' ? type : undefined
}

class KernelMemory {
  readonly #machine: MachineView
  readonly #vcpu: VcpuView

  constructor(machine: MachineView, vcpu: VcpuView) {
    this.#machine = machine
    this.#vcpu = vcpu
  }

  bytes(address: bigint, length: number): Uint8Array | undefined {
    const bytes = readLinear(this.#machine, this.#vcpu, address, length)
    if (bytes.length === length) return bytes
    const cr3 = this.#vcpu.register('cr3')
    if ((cr3 & PTI_USER_ROOT) === 0n) return undefined
    const mapped = readLinear(this.#machine, this.#vcpu, address, length, cr3 & ~PTI_USER_ROOT)
    return mapped.length === length ? mapped : undefined
  }

  integer(address: bigint, length: 4 | 8): bigint | undefined {
    const bytes = this.bytes(BigInt.asUintN(64, address), length)
    return bytes?.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n)
  }
}

/** Up to the first zero; what is no printable ASCII, which a program may choose, is a question mark. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  const codes = [...(end < 0 ? bytes : bytes.subarray(0, end))]
  return codes.map(code => (code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : '?')).join('')
}
