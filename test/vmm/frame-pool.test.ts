import { describe, expect, it } from 'vitest'
import { HostMemory } from '../../src/engine/host-memory.ts'
import { FramePool, OutOfFramesError } from '../../src/vmm/frame-pool.ts'

const makePool = () => new FramePool(new HostMemory(2 * 65536), 65536)

describe('the frame pool', () => {
  it('hands out distinct frames from its base to the end of host memory', () => {
    const pool = makePool()
    const owner = pool.reserve('a guest', 16)
    const frames = Array.from({ length: 16 }, () => pool.allocate(owner))
    expect(new Set(frames).size).toBe(16)
    expect(Math.min(...frames)).toBe(65536)
    expect(Math.max(...frames)).toBe(65536 + 15 * 4096)
    expect(() => pool.allocate(owner)).toThrow(OutOfFramesError)
  })

  it('zeroes a frame that another owner had', () => {
    const pool = makePool()
    const first = pool.reserve('a guest', 1)
    const second = pool.reserve('a guest', 1)
    const frame = pool.allocate(first)
    pool.memory.u8.fill(0xaa, frame, frame + 4096)
    pool.free(frame)
    expect(pool.allocate(second)).toBe(frame)
    expect(pool.memory.u8.subarray(frame, frame + 4096).every(byte => byte === 0)).toBe(true)
    expect(pool.ownerOf(frame)).toBe(second)
  })

  it('refuses a reservation that the rest of host memory cannot hold, and says what to do', () => {
    const pool = makePool()
    pool.reserve('a guest', 10)
    expect(() => pool.reserve('a guest with 28 KiB', 7)).toThrow(
      'a guest with 28 KiB needs 0.0 MiB of host memory, and only 0.0 MiB is left: give the guest less memory, or end another one',
    )
    expect(pool.unreserved).toBe(6)
  })

  it('takes back everything of an owner and nothing of others', () => {
    const pool = makePool()
    const first = pool.reserve('a guest', 2)
    const second = pool.reserve('a guest', 2)
    pool.allocate(first)
    const kept = pool.allocate(second)
    pool.allocate(first)
    pool.release(first)
    expect(pool.allocated).toBe(1)
    expect(pool.ownerOf(kept)).toBe(second)
    expect(pool.unreserved).toBe(14)
  })

  it('refuses to free a frame twice', () => {
    const pool = makePool()
    const frame = pool.allocate(pool.reserve('a guest', 1))
    pool.free(frame)
    expect(() => pool.free(frame)).toThrow('free already')
  })
})
