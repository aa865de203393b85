/** `x`: memory and code as gdb's command of that name shows them. */

import { advance, formatAddress } from '../../protocol/address.ts'
import { RequestError } from '../request.ts'
import type { Command, CommandCall } from './command.ts'

const SIZES: Readonly<Record<string, number>> = { b: 1, h: 2, w: 4, g: 8 }
const FORMATS = 'xduotacsi'
const MOST_UNITS = 65_536
const LONGEST_STRING = 4096

/** What to show, and how. */
interface Layout {
  readonly count: number
  readonly format: string
  /** Bytes of a unit. */
  readonly size: number
}

export const examineCommand: Command = {
  name: 'x',
  usage: '/[COUNT][FORMAT][SIZE] ADDRESS',
  summary: 'memory at an address: x/8gx $rsp, x/s name, x/5i $rip, x/4wx phys:0x1000',
  details: [
    'FORMAT: x hexadecimal, d signed, u unsigned, o octal, t binary, a address with symbol, c character, s string, i instructions',
    'SIZE: b 1, h 2, w 4, g 8 bytes',
  ].join('\n'),
  run(call) {
    if (call.words.length === 0) throw call.wrongUsage()
    const layout = parseLayout(call.suffix)
    // An expression may have spaces in it.
    const start = call.address(call.words.join(' '))
    if (layout.format === 'i')
      return call.session.debugger
        .disassemble(call.frame.vcpu, start, 0, layout.count)
        .map(({ address, text, symbol }) => {
          const place = formatAddress({ ...start, address })
          return `${place}${symbol === undefined ? '' : ` <${symbol}>`}:  ${text}`
        })
        .join('\n')
    if (layout.format === 's') return strings(call, start, layout.count)
    const bytes = call.session.debugger.readMemory(call.frame.vcpu, start, layout.count * layout.size)
    const lines: string[] = []
    const perLine = Math.max(1, (layout.format === 't' ? 4 : 16) / layout.size)
    for (let unit = 0; (unit + 1) * layout.size <= bytes.length; unit += perLine) {
      const values: string[] = []
      for (let i = unit; i < unit + perLine && (i + 1) * layout.size <= bytes.length && i < layout.count; i++)
        values.push(unitText(call, bytes.subarray(i * layout.size, (i + 1) * layout.size), layout.format))
      const at = advance(start, unit * layout.size)
      const symbol = at.space === 'linear' ? call.describe(at.address) : undefined
      lines.push(`${formatAddress(at)}${symbol === undefined ? '' : ` <${symbol}>`}:  ${values.join('  ')}`)
    }
    if (bytes.length < layout.count * layout.size)
      lines.push(`no memory can be read at ${formatAddress(advance(start, bytes.length))}`)
    return lines.join('\n')
  },
}

function parseLayout(suffix: string): Layout {
  const match = /^([0-9]*)([a-z]*)$/.exec(suffix)
  if (match === null) throw new RequestError(`x/${suffix}: a count, a format and a size are wanted, as in x/8gx`)
  const count = match[1] === '' ? 1 : Number(match[1])
  if (count > MOST_UNITS) throw new RequestError(`x/${suffix}: at most ${MOST_UNITS} at once`)
  let format = 'x'
  let size = 8
  for (const letter of match[2]) {
    if (letter in SIZES) size = SIZES[letter]
    else if (FORMATS.includes(letter)) format = letter
    else throw new RequestError(`x/${suffix}: "${letter}" is neither a format (${FORMATS}) nor a size (bhwg)`)
  }
  if (format === 'c' && !/[hwg]/.test(match[2])) size = 1
  return { count, format, size: format === 'a' ? 8 : size }
}

function unitText(call: CommandCall, bytes: Uint8Array, format: string): string {
  const value = bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n)
  const bits = bytes.length * 8
  switch (format) {
    case 'd':
      return BigInt.asIntN(bits, value).toString()
    case 'u':
      return value.toString()
    case 'o':
      return `0${value.toString(8)}`
    case 't':
      return value.toString(2).padStart(bits, '0')
    case 'c':
      return `${value} ${JSON.stringify(String.fromCharCode(Number(BigInt.asUintN(8, value))))}`
    case 'a': {
      const symbol = call.describe(value)
      return `0x${value.toString(16)}${symbol === undefined ? '' : ` <${symbol}>`}`
    }
    default:
      return `0x${value.toString(16).padStart(bits / 4, '0')}`
  }
}

function strings(call: CommandCall, start: ReturnType<CommandCall['address']>, count: number): string {
  const lines: string[] = []
  let at = start
  for (let i = 0; i < count; i++) {
    const bytes = call.session.debugger.readMemory(call.frame.vcpu, at, LONGEST_STRING)
    const end = bytes.indexOf(0)
    const text = new TextDecoder().decode(bytes.subarray(0, end < 0 ? bytes.length : end))
    if (bytes.length === 0) {
      lines.push(`no memory can be read at ${formatAddress(at)}`)
      break
    }
    lines.push(`${formatAddress(at)}:  ${JSON.stringify(text)}${end < 0 ? '…' : ''}`)
    at = advance(at, end < 0 ? bytes.length : end + 1)
  }
  return lines.join('\n')
}
