/** Memory as the Hex Editor of VS Code and the extension Memory Inspector ask for it. */

import type { DebugProtocol } from '@vscode/debugprotocol'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { GoldenSession } from '../support/golden-session.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

/** The tour's program: one page of code, and nothing behind it. */
const CODE = '0x40000000'
const PAGE = 4096
const RAM = 64 * 2 ** 20

let session: GoldenSession
beforeEach(async () => {
  session = new GoldenSession('tour')
  await session.launch(
    {},
    { supportsMemoryEvent: true, supportsInvalidatedEvent: true, supportsMemoryReferences: true },
  )
  await session.request('setFunctionBreakpoints', { breakpoints: [{ name: 'give_page' }] })
  await session.start()
})
afterEach(() => session.client.close())

const read = async (memoryReference: string, offset: number, count: number) => {
  const args = { memoryReference, offset, count }
  const body = await session.request<NonNullable<DebugProtocol.ReadMemoryResponse['body']>>('readMemory', args)
  return { ...body, bytes: Buffer.from(body.data ?? '', 'base64') }
}
const write = (memoryReference: string, offset: number, bytes: Buffer, more: object = {}) =>
  session.request<NonNullable<DebugProtocol.WriteMemoryResponse['body']>>('writeMemory', {
    ...{ memoryReference, offset, data: bytes.toString('base64') },
    ...more,
  })

describe('the Hex Editor', () => {
  test('reads pieces by offset from the reference, which fit together', async () => {
    const whole = await read(CODE, 0, PAGE)
    expect([whole.bytes.length, whole.unreadableBytes]).toEqual([PAGE, undefined])
    const pieces: Buffer[] = []
    for (let offset = 0; offset < PAGE; offset += 1000)
      pieces.push((await read(CODE, offset, Math.min(1000, PAGE - offset))).bytes)
    expect(Buffer.concat(pieces).equals(whole.bytes)).toBe(true)
    expect((await read('0x40000800', -0x800, 16)).bytes).toEqual(whole.bytes.subarray(0, 16))
  })

  test('is told how many bytes behind the end of what is mapped can not be read', async () => {
    const across = await read(CODE, PAGE - 16, 64)
    expect([across.bytes.length, across.unreadableBytes]).toEqual([16, 48])
    const behind = await read(CODE, PAGE, 64)
    expect([behind.data, behind.unreadableBytes]).toEqual([undefined, 64])
    expect(await read(CODE, 0, 0)).toMatchObject({ bytes: Buffer.alloc(0) })
  })

  test('reads whole pages of every address space, up to a limit that is named', async () => {
    const large = await read('phys:0x100000', 0, 2 ** 24)
    expect(large.bytes.length).toBe(2 ** 24)
    expect((await read('phys:0x100000', 0x1000, 64)).bytes).toEqual(large.bytes.subarray(0x1000, 0x1040))
    const end = await read(`phys:0x${(RAM - PAGE).toString(16)}`, 0, 2 * PAGE)
    expect([end.bytes.length, end.unreadableBytes]).toEqual([PAGE, PAGE])
    expect(await read('0xfffffffffffffff0', 0, 32)).toMatchObject({ unreadableBytes: 32 })
    await expect(read('phys:0x0', 0, 2 ** 24 + 1)).rejects.toThrow(/"count" must be an integer from 0 to 16777216/)
  })

  test('writes by offset, as far as it goes, and other views of that memory are told', async () => {
    const before = (await read(CODE, PAGE - 8, 8)).bytes
    await expect(write(CODE, PAGE - 4, Buffer.alloc(8, 0xcc))).rejects.toThrow(/nothing can be written at 0x40001000/)
    expect((await read(CODE, PAGE - 8, 8)).bytes).toEqual(before)
    const partial = await write(CODE, PAGE - 4, Buffer.alloc(8, 0xcc), { allowPartial: true })
    expect(partial.bytesWritten).toBe(4)
    expect((await read(CODE, PAGE - 4, 4)).bytes).toEqual(Buffer.alloc(4, 0xcc))
    expect(await session.client.event('memory')).toEqual({ memoryReference: '0x40000ffc', offset: 0, count: 4 })
    const none = await write(CODE, PAGE, Buffer.alloc(8), { allowPartial: true })
    expect(none.bytesWritten).toBe(0)
  })
})

describe('the Memory Inspector', () => {
  test('takes the address of what was read for a number, in every address space', async () => {
    for (const [reference, address] of [
      [CODE, 0x4000_0010n],
      ['phys:0x100000', 0x10_0010n],
      ['hpa:0x6200000', 0x620_0010n],
      ['cr3=0x102000:0x40000000', 0x4000_0010n],
    ] as const)
      expect(BigInt((await read(reference, 16, 4)).address)).toBe(address)
  })

  test('places variables by evaluating their address and their size', async () => {
    const [{ id: frameId }] = await session.stack()
    const { scopes } = await session.request<{ scopes: DebugProtocol.Scope[] }>('scopes', { frameId })
    const locals = scopes.find(({ presentationHint }) => presentationHint !== 'registers')
    const { variables } = await session.request<{ variables: DebugProtocol.Variable[] }>('variables', {
      variablesReference: locals?.variablesReference,
    })
    const address = variables.find(({ name }) => name === 'address')
    // Its own menu opens what has a reference; no format is asked for, and the answer must be a decimal number.
    expect(address?.memoryReference).toMatch(/^0x[0-9a-f]+$/)
    const ask = async (expression: string) =>
      (await session.request<{ result: string }>('evaluate', { expression, frameId, context: 'watch' })).result
    const place = /0x[0-9a-f]+/i.exec(await ask('&(next_frame)'))?.[0]
    expect(await ask('sizeof(next_frame)')).toBe('8')
    const value = (await read(place ?? '', 0, 8)).bytes.readBigUInt64LE()
    expect(BigInt((await ask('next_frame')).split(' ')[0])).toBe(value)
  })
})
