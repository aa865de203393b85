/** The task that a kernel is at, with types and symbols as Linux has them, in a memory that the test writes. */

import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { currentTask } from '../../../src/debugger/linux/current-task.ts'
import { SymbolBook } from '../../../src/debugger/symbol-book.ts'
import { FakeMachine, FakeVcpu } from '../../support/fake-machine.ts'
import { buildGuest } from '../support/c-guest.ts'

const TASK = 'struct task_struct { void *stack; int pid; struct { int first; }; char comm[16]; } task, *kept = &task;'
const OFFSETS = 'unsigned long __per_cpu_offset[2];'
const START = 'void _start(void) { for (;;); }'
const ALONE = `${TASK} struct task_struct *current_task; ${OFFSETS} ${START}`
const HOT = `${TASK} struct pcpu_hot { long other; struct task_struct *current_task; } pcpu_hot; ${OFFSETS} ${START}`

/** 2 MiB is where the file lies; tasks and copies of per-CPU variables are put behind. */
const SHIFTS = [0x10_0000n, 0x18_0000n]

function scene(source: string, symbol: string, member = 0n) {
  const book = new SymbolBook()
  const { program } = buildGuest(source)
  book.addElf(program, readFileSync(program))
  const machine = new FakeMachine(2 ** 22 + 2 ** 20)
  machine.vcpus.splice(0, 1, new FakeVcpu(0).protectedMode(), new FakeVcpu(1).protectedMode())
  const at = (name: string): bigint => book.byName(name)?.address ?? -1n
  const tasks = [0x40_0000, 0x40_1000]
  tasks.forEach((task, index) => {
    machine.writeEntry(Number(at('__per_cpu_offset')) + 8 * index, SHIFTS[index])
    machine.writeEntry(Number(at(symbol) + member + SHIFTS[index]), BigInt(task))
    machine.writeEntry(task + 8, BigInt(100 + index))
    machine.write(task + 16, Buffer.from(`worker/${index}\0rest`))
  })
  return { book, machine, tasks, ask: (index: number) => currentTask(book, machine, machine.vcpus[index]) }
}

test('each processor has its own, by current_task or by pcpu_hot', () => {
  for (const { ask } of [scene(ALONE, 'current_task'), scene(HOT, 'pcpu_hot', 8n)]) {
    expect(ask(0)).toEqual({ name: 'worker/0', pid: 100 })
    expect(ask(1)).toEqual({ name: 'worker/1', pid: 101 })
  }
})

test('a name may be anything, without an end', () => {
  const { machine, tasks, ask } = scene(ALONE, 'current_task')
  machine.write(tasks[0] + 16, Buffer.from('\x1b[31m0123456789abcdef'))
  expect(ask(0)?.name).toBe('?[31m0123456789a')
})

test('there is none where the kernel is not known, not so far, or not to be read', () => {
  const { machine, book } = scene(ALONE, 'current_task')
  expect(currentTask(new SymbolBook(), machine, machine.vcpu)).toBeUndefined()
  const current = book.byName('current_task')?.address ?? 0n
  machine.writeEntry(Number(current + SHIFTS[0]), 0n)
  expect(currentTask(book, machine, machine.vcpu)).toBeUndefined()
  machine.writeEntry(Number(current + SHIFTS[0]), 0xffff_ffff_ffff_0000n)
  expect(currentTask(book, machine, machine.vcpu)).toBeUndefined()
  machine.writeEntry(Number(book.byName('__per_cpu_offset')?.address), 0x8000_0000_0000_0000n)
  expect(currentTask(book, machine, machine.vcpu)).toBeUndefined()
})

test("a 32-bit kernel's offsets wrap at 4 GiB", () => {
  const book = new SymbolBook()
  const { program } = buildGuest(ALONE, ['-m32'])
  book.addElf(program, readFileSync(program))
  const machine = new FakeMachine(2 ** 22)
  machine.vcpu.protectedMode()
  const at = (name: string): number => Number(book.byName(name)?.address)
  const word = (value: number) => new Uint8Array(new Uint32Array([value]).buffer)
  const task = 0x30_0000
  machine.write(at('__per_cpu_offset'), word(-0x10_0000))
  machine.write(at('current_task') - 0x10_0000, word(task))
  machine.write(task + 4, word(77))
  machine.write(task + 12, Buffer.from('worker\0'))
  expect(currentTask(book, machine, machine.vcpu)).toEqual({ name: 'worker', pid: 77 })
})
