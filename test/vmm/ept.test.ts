import { describe, expect, it } from 'vitest'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { EPT_EXECUTE, EPT_READ, EPT_RIGHTS, EPT_WRITE, Ept, eptFrames } from '../../src/vmm/ept.ts'
import { FramePool } from '../../src/vmm/frame-pool.ts'

function makeEpt() {
  const pool = new FramePool(new HostMemory(32 * 65536), 65536)
  const owner = pool.reserve('a guest', 100)
  const invalidations: number[] = []
  const ept = new Ept(pool, owner, root => invalidations.push(root))
  return { pool, owner, ept, invalidations }
}

/** Walks the tables as the SDM says (vol. 3, 29.3.2), without the code under test. */
function walk(memory: HostMemory, root: number, gpa: number): bigint {
  let table = BigInt(root)
  for (const shift of [39n, 30n, 21n, 12n]) {
    const index = (BigInt(gpa) >> shift) & 511n
    const entry = memory.view.getBigUint64(Number(table + index * 8n), true)
    if (shift === 12n || (entry & 7n) === 0n) return entry
    expect(entry & 0xf8n, 'bits 7:3 of an entry that references a table are reserved').toBe(0n)
    table = entry & 0xf_ffff_ffff_f000n
  }
  return 0n
}

describe('EPT', () => {
  it('maps a page by four levels in the format of the manual, write-back', () => {
    const { pool, owner, ept } = makeEpt()
    const frame = pool.allocate(owner)
    ept.map(0x1_2345_6000, frame, EPT_RIGHTS)
    expect(walk(pool.memory, ept.root, 0x1_2345_6000)).toBe(BigInt(frame | 7 | (6 << 3)))
    expect(walk(pool.memory, ept.root, 0x1_2345_7000)).toBe(0n)
    expect(ept.translate(0x1_2345_6789)).toBe(frame + 0x789)
    expect(ept.translate(0x1_2345_7000)).toBeUndefined()
  })

  it('invalidates when rights are taken away, not when they are given', () => {
    const { pool, owner, ept, invalidations } = makeEpt()
    ept.map(0x1000, pool.allocate(owner), EPT_RIGHTS)
    expect(invalidations).toEqual([])
    expect(ept.setRights(0x1000, EPT_READ | EPT_EXECUTE)).toBe(true)
    expect(invalidations).toEqual([ept.root])
    expect(walk(pool.memory, ept.root, 0x1000) & 7n).toBe(5n)
    ept.setRights(0x1000, EPT_RIGHTS)
    expect(invalidations).toHaveLength(1)
    ept.unmap(0x1000)
    expect(invalidations).toHaveLength(2)
    expect(ept.setRights(0x1000, EPT_RIGHTS)).toBe(false)
  })

  it('keeps a page that is mapped without any right', () => {
    const { pool, owner, ept } = makeEpt()
    const frame = pool.allocate(owner)
    ept.map(0x1000, frame, EPT_RIGHTS)
    ept.setRights(0x1000, 0)
    expect(ept.rights(0x1000)).toBe(0)
    expect(ept.setRights(0x1000, EPT_READ)).toBe(true)
    expect(ept.translate(0x1000)).toBe(frame)
    expect(ept.mappedPages).toBe(1)
  })

  it('refuses a frame of another VM', () => {
    const { pool, ept } = makeEpt()
    const other = pool.reserve('another guest', 1)
    expect(() => ept.map(0, pool.allocate(other), EPT_RIGHTS)).toThrow('belongs to VM 2')
    expect(() => ept.map(0, 0x1000, EPT_RIGHTS)).toThrow('belongs to VM 0')
  })

  it('refuses rights that the processor calls a misconfiguration', () => {
    const { pool, owner, ept } = makeEpt()
    expect(() => ept.map(0, pool.allocate(owner), EPT_WRITE)).toThrow(RangeError)
  })

  it('gives tables back when they become empty', () => {
    const { pool, owner, ept } = makeEpt()
    const frame = pool.allocate(owner)
    const before = pool.allocated
    ept.map(0x7f_0000_0000, frame, EPT_READ)
    ept.map(0x7f_0000_1000, frame, EPT_READ)
    expect(pool.allocated).toBe(before + 3)
    ept.unmap(0x7f_0000_0000)
    expect(pool.allocated).toBe(before + 3)
    ept.unmap(0x7f_0000_1000)
    expect(pool.allocated).toBe(before)
  })

  it('lists ranges, joined where they continue on both sides with equal rights', () => {
    const { pool, owner, ept } = makeEpt()
    const frames = Array.from({ length: 4 }, () => pool.allocate(owner))
    ept.map(0x1000, frames[0], EPT_RIGHTS)
    ept.map(0x2000, frames[1], EPT_RIGHTS)
    ept.map(0x3000, frames[2], EPT_READ)
    ept.map(0x8000_0000, frames[3], EPT_RIGHTS)
    expect([...ept.ranges()]).toEqual([
      { gpa: 0x1000, hpa: frames[0], length: 0x2000, rights: EPT_RIGHTS },
      { gpa: 0x3000, hpa: frames[2], length: 0x1000, rights: EPT_READ },
      { gpa: 0x8000_0000, hpa: frames[3], length: 0x1000, rights: EPT_RIGHTS },
    ])
    ept.clear()
    expect([...ept.ranges()]).toEqual([])
  })

  it('tells how many tables a guest needs at most', () => {
    expect(eptFrames(2 ** 30)).toBe(1 + 512 + 1 + 1)
    expect(eptFrames(4096)).toBe(4)
  })
})
