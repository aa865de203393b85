import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { stripped } from '../../../src/symbols/dwarf/type-model.ts'
import { findDebugKernel } from '../../linux/debug-kernel.ts'

const path = findDebugKernel()
if (path === undefined) console.log("Debian's vmlinux is not in the cache (npm run bench:symbols -- --fetch): skipped")

describe.skipIf(path === undefined)("Debian's vmlinux", () => {
  const file = DebugFile.open(path ?? '', { cache: false })

  it('resolves a function and a line to what gdb says', () => {
    // gdb 13: break start_kernel, break fs/read_write.c:461
    expect(file.functionsNamed('start_kernel')[0].bodyAddress).toBe(file.symbolNamed('start_kernel')?.address)
    const [place] = file.breakpointsAt('fs/read_write.c', 461)?.places ?? []
    expect(file.symbolAt(place.address)?.symbol.name).toBe('vfs_read')
  })

  it('keeps per-CPU variables where they are when the kernel moves', () => {
    const perCpu = file.symbolNamed('cpu_number')?.address
    const text = file.symbolNamed('_stext')?.address ?? 0n
    file.slide = 0x1f00_0000n
    expect(file.symbolNamed('cpu_number')?.address).toBe(perCpu)
    expect(file.symbolNamed('_stext')?.address).toBe(text + 0x1f00_0000n)
    file.slide = 0n
  })

  it('has the arguments of a function at its entry', () => {
    const pc = file.symbolNamed('vfs_read')?.address ?? 0n
    const [frame] = file.framesAt(pc)
    const context = { pc, register: (number: number) => BigInt(number), read: () => undefined }
    const parameters = file.variablesOf(frame).filter(variable => variable.kind === 'parameter')
    const told = parameters.map(variable => [variable.name, file.locate(variable, context)])
    // rdi, rsi, rdx, rcx by DWARF's numbers.
    expect(told).toEqual([
      ['file', { kind: 'register', register: 5 }],
      ['buf', { kind: 'register', register: 4 }],
      ['count', { kind: 'register', register: 1 }],
      ['pos', { kind: 'register', register: 2 }],
    ])
  })

  it('follows file->f_path.dentry->d_name.name', () => {
    let type = file.findType('struct file')
    for (const name of ['f_path', 'dentry', 'd_name', 'name']) {
      type = stripped(type?.kind === 'pointer' ? type.target : type)
      if (type?.kind !== 'struct') throw new Error(`no structure has ${name}`)
      type = membersOf(type).find(member => member.name === name)?.type
    }
    expect(type?.name).toBe('const unsigned char *')
  })

  it('unwinds C by call frame information, and assembly by ORC', () => {
    const read = (_address: bigint, size: number) => new Uint8Array(size).fill(0x22)
    const at = (name: string, offset: bigint) => {
      const pc = (file.symbolNamed(name)?.address ?? 0n) + offset
      return file.unwind(
        Array.from({ length: 17 }, (_, number) => (number === 16 ? pc : 0x1000n)),
        read,
        false,
      )
    }
    expect(at('vfs_read', 0n)).toMatchObject({ by: 'debug_frame', cfa: 0x1008n, interrupted: false })
    expect(at('asm_exc_page_fault', 20n)).toMatchObject({ by: 'orc', interrupted: true })
  })
})

function membersOf(type: Extract<ReturnType<typeof stripped>, { kind: 'struct' }>): typeof type.members {
  return type.members.flatMap(member => {
    const inner = stripped(member.type)
    return member.name === undefined && inner?.kind === 'struct' ? membersOf(inner) : [member]
  })
}
