/** The walkthrough as package.json and `media/walkthrough/` tell it: nothing in it is completed by a click. */

import { readFileSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { diskImage } from '../../src/extension/walkthrough/disk-image.ts'
import { isGuestSource, lineOf } from '../../src/extension/walkthrough/guest-sources.ts'
import { kernelOf } from '../../src/extension/walkthrough/kernels.ts'
import { KERNELS } from '../../src/extension/walkthrough/observation.ts'
import { contextKey, STEPS } from '../../src/extension/walkthrough/steps.ts'

const repositoryFile = (path: string): string => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const text = (path: string): string => readFileSync(repositoryFile(path), 'utf8')

const { walkthroughs, commands, views } = manifest.contributes
const told = walkthroughs.flatMap(({ id: walkthrough, steps }) =>
  steps.map(step => ({ ...step, id: `${walkthrough}.${step.id}`, page: text(step.media.markdown) })),
)
/** Commands of VS Code's own that are linked. */
const THEIRS = ['workbench.action.openWalkthrough']

test('the steps told are those that are checked, in their order', () => {
  expect(told.map(({ id }) => id)).toEqual(STEPS.map(({ id }) => id))
})

test('each walkthrough has 4 to 7 steps, and nothing but the machine completes one', () => {
  for (const { steps } of walkthroughs) expect([4, 5, 6, 7]).toContain(steps.length)
  // Without events of its own a step is done when it, or a link in it, is clicked.
  expect(told.map(({ completionEvents }) => completionEvents)).toEqual(
    STEPS.map(step => [`onContext:${contextKey(step)}`]),
  )
})

test.each(told)('$id says on its page when it is true, and its links lead somewhere', ({ description, page }) => {
  expect(page).toMatch(/^# .+\n/)
  expect(page).toMatch(/\n\*\*True when\*\* [\s\S]+\.\n/)
  for (const [, command, query] of `${description}\n${page}`.matchAll(/\(command:([\w.]+)(?:\?([^)]+))?\)/g)) {
    const known = [...commands.map(each => each.command), ...views.ringside.map(({ id }) => `${id}.focus`), ...THEIRS]
    expect(known).toContain(command)
    const args: unknown[] = query === undefined ? [] : JSON.parse(decodeURIComponent(query))
    if (command === 'ringside.openGuestSource') expectPlace(String(args[0]), String(args[1]))
    if (command === 'ringside.startLesson') expect(KERNELS).toContain(args[0])
    if (command === THEIRS[0])
      expect(walkthroughs.map(({ id }) => `${manifest.publisher}.${manifest.name}#${id}`)).toContain(args[0])
  }
})

function expectPlace(file: string, place: string): void {
  expect(isGuestSource(file)).toBe(true)
  expect(lineOf(text(`guests/${file}`), place), `${place} in ${file}`).toBeDefined()
}

test('a kernel is known by the name of its image', () => {
  for (const { kernel } of STEPS) {
    const image = `guests/prebuilt/${kernel}.elf`
    expect(statSync(repositoryFile(image)).isFile()).toBe(true)
    expect(kernelOf(repositoryFile(image))).toBe(kernel)
  }
  expect(kernelOf('C:\\guests\\tour.elf')).toBe('tour')
  for (const other of ['/boot/vmlinuz', '/tmp/detour.elf', '', undefined, 7]) expect(kernelOf(other)).toBeUndefined()
})

describe('sources that links open', () => {
  test('are those of the teaching kernels and no other file', () => {
    expect(isGuestSource('tour/kernel.c')).toBe(true)
    for (const other of ['../package.json', 'tour/../../x.c', '/etc/passwd', 'prebuilt/tour.elf', 'bench/bench.c', 3])
      expect(isGuestSource(other)).toBe(false)
  })

  test('have functions where they are defined, labels and marks', () => {
    const lines = (place: string) =>
      lineOf('void f(void);\n  f();\nint f(void) {\nf:\n  x // #here\n; #here-too', place)
    expect(lines('f')).toBe(2)
    expect(lineOf('  jmp f\nf:\n', 'f')).toBe(1)
    expect(lines('#here')).toBe(4)
    expect(lines('#here-too')).toBe(5)
    expect(lines('g')).toBeUndefined()
    expect(lines('.*')).toBeUndefined()
  })
})

test('the disk has in sector 2 what the kernel is to read', () => {
  const image = Buffer.from(diskImage())
  expect(image.length % 512).toBe(0)
  expect(image.toString('latin1', 2 * 512, 2 * 512 + 8)).toBe('RINGSIDE')
})
