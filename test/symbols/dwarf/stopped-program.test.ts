import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import type { DwarfRegisters, EvaluationContext } from '../../../src/symbols/dwarf/debug-info.ts'
import { toInteger } from '../../../src/symbols/dwarf/expression.ts'
import { compile, FLAVOURS, isInstalled, scratchDirectory } from './compiled.ts'

const directory = scratchDirectory()

/** By DWARF's numbers. */
const REGISTERS = {
  64: [
    'rax',
    'rdx',
    'rcx',
    'rbx',
    'rsi',
    'rdi',
    'rbp',
    'rsp',
    'r8',
    'r9',
    'r10',
    'r11',
    'r12',
    'r13',
    'r14',
    'r15',
    'rip',
  ],
  32: ['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi', 'eip'],
} as const

interface Stopped {
  readonly registers: DwarfRegisters
  readonly read: (address: bigint, size: number) => Uint8Array | undefined
  /** gdb's stack: names of the functions, inlined ones too, innermost first. */
  readonly stack: readonly string[]
  /** gdb's values of variables in the innermost frame; undefined where it says "optimized out". */
  readonly values: Readonly<Record<string, number | undefined>>
}

/** Runs the program under gdb until its second call of `leaf`, and some way into it. */
function stopInGdb(path: string, bits: 32 | 64, end: 'entry' | 'in the middle'): Stopped {
  const names = REGISTERS[bits]
  const memory = join(directory, 'memory.bin')
  const stack = names[bits === 64 ? 7 : 4]
  const commands = [
    'set confirm off',
    'break *leaf',
    'run',
    'continue',
    ...(end === 'entry' ? [] : ['stepi 6']),
    ...names.map(name => `printf "register ${name} %lx\\n", (unsigned long)$${name}`),
    `dump binary memory ${memory} $${stack}-256 $${stack}+256`,
    'bt',
    'printf "value depth "',
    'output depth',
    'printf "\\nvalue calls "',
    'output calls',
    'printf "\\n"',
    'kill',
  ]
  const said = execFileSync('gdb', ['-nx', '-batch', ...commands.flatMap(command => ['-ex', command]), path], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  const registers = names.map(name => BigInt(`0x${new RegExp(`^register ${name} (\\w+)$`, 'm').exec(said)?.[1]}`))
  const bytes = readFileSync(memory)
  // Locals can lie below the stack pointer: in the red zone, or before the function made room.
  const base = registers[bits === 64 ? 7 : 4] - 256n
  const values = Object.fromEntries(
    [...said.matchAll(/^value (\w+) (.*)$/gm)].map(([, name, value]) => [
      name,
      value.includes('optimized') ? undefined : Number(value),
    ]),
  )
  return {
    registers,
    read: (address, size) => {
      const offset = Number(address - base)
      return offset >= 0 && offset + size <= bytes.length ? bytes.subarray(offset, offset + size) : undefined
    },
    stack: [...said.matchAll(/^#\d+ +(?:0x\w+ in )?(\w+)/gm)].map(match => match[1]),
    values,
  }
}

const places = ['entry', 'in the middle'] as const

describe.skipIf(!isInstalled('gdb')).each(FLAVOURS)('a stopped program, %s', (name, ...options) => {
  const path = compile(directory, name.replaceAll(/\W/g, '-'), ...options)
  const file = DebugFile.open(path, { cache: false })
  const pcNumber = file.bits === 64 ? 16 : 8

  it.each(places)('has the stack that gdb shows, at the %s of a function', place => {
    const stopped = stopInGdb(path, file.bits, place)
    const stack: string[] = []
    let registers: DwarfRegisters | undefined = stopped.registers
    for (let depth = 0; registers !== undefined && depth < 10; depth++) {
      const pc: bigint | undefined = registers[pcNumber]
      const frames = pc === undefined ? [] : file.framesAt(depth === 0 ? pc : pc - 1n)
      stack.push(...frames.map(frame => frame.name))
      registers = file.unwind(registers, stopped.read, depth > 0)?.registers
    }
    // The assembly of `_start` has no debugging information.
    expect(stack).toEqual(stopped.stack.filter(frame => frame !== '_start'))
    expect(stack.slice(-3)).toEqual(['leaf', 'middle', 'begin'])
  })

  it.each(places)('has the values that gdb shows, at the %s of a function', place => {
    const stopped = stopInGdb(path, file.bits, place)
    const pc = stopped.registers[pcNumber] ?? 0n
    const context: EvaluationContext = { pc, register: number => stopped.registers[number], read: stopped.read }
    const frame = file.framesAt(pc).find(candidate => candidate.name === 'leaf')
    if (frame === undefined) throw new Error('the program is not in leaf')
    const variables = file.variablesOf(frame)
    expect(new Set(variables.map(variable => `${variable.kind} ${variable.name}`))).toEqual(
      new Set(['parameter node', 'parameter depth', 'local local', 'static calls']),
    )
    const depth = variables.find(variable => variable.name === 'depth')
    if (depth === undefined) throw new Error('leaf has no depth')
    const location = file.locate(depth, context)
    const bytes = file.readLocation(location, 4, context)
    // Inside an inlined copy gdb speaks of the copy's variables.
    if (stopped.stack[0] === 'leaf') {
      expect(bytes && Number(BigInt.asIntN(32, toInteger(bytes)))).toBe(stopped.values.depth)
    }
    const calls = variables.find(variable => variable.name === 'calls')
    expect(calls && file.locate(calls, context).kind).toBe('memory')
  })
})
