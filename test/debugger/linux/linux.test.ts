import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { linearAreas } from '../../../src/debugger/linear-areas.ts'
import { KernelFollower } from '../../../src/debugger/linux/follow-kernel.ts'
import { kernelIdentity, mismatch } from '../../../src/debugger/linux/kernel-image.ts'
import { moduleNameOf, readModulePlaces, readModules } from '../../../src/debugger/linux/kernel-modules.ts'
import { findKernelSlide } from '../../../src/debugger/linux/kernel-slide.ts'
import type { LinuxImage } from '../../../src/debugger/linux/kernel-tables.ts'
import { findModuleFiles } from '../../../src/debugger/linux/module-files.ts'
import { SymbolBook } from '../../../src/debugger/symbol-book.ts'
import { DebugFile } from '../../../src/symbols/dwarf/debug-file.ts'
import { type BuiltGuest, buildGuest, GuestUnderTest } from '../support/c-guest.ts'

/** What the debugger looks at in a kernel, and nothing else of one. */
const KERNEL = `
typedef unsigned long u64;
const char linux_banner[] = "Linux version 6.1.0-test (me@here) #1 SMP Debian 6.1.76-1\\n";
struct list_head { struct list_head *next, *prev; };
struct attribute { const char *name; };
struct bin_attribute { struct attribute attr; u64 size; };
struct module_sect_attr { struct bin_attribute battr; u64 address; };
struct module_sect_attrs { int group; unsigned int nsections; struct module_sect_attr attrs[]; };
struct module_memory { void *base; unsigned int size; };
struct module {
  int state; struct list_head list; char name[56]; struct module_memory mem[2];
  struct module_sect_attrs *sect_attrs;
};
extern struct module first, second;
struct list_head modules = { &first.list, &second.list };
static struct module_sect_attrs sections = { 0, 2, {
  { { { ".text" }, 0 }, 0x700000 }, { { { ".data" }, 0 }, 0x701000 } } };
struct module first = { 0, { &second.list, &modules }, "guest", { { (void *)0x700000, 0x500 } }, &sections };
struct module second = { 0, { &modules, &first.list }, "other", { { (void *)0x710000, 0x40 } }, 0 };
u64 init_task;
volatile u64 sink;
void _stext(void) {}
void entry_SYSCALL_64(void) {}
void start_kernel(void) { for (;;) sink++; // #running
}
void _start(void) { start_kernel(); }
`
const at = (base: string) => ['-O1', `-Wl,-Ttext-segment=${base}`]

let guest: GuestUnderTest
let linked: BuiltGuest
beforeAll(async () => {
  linked = buildGuest(KERNEL, at('0x200000'))
  guest = await GuestUnderTest.start(buildGuest(KERNEL, at('0x800000')))
  await guest.runToMarker('running')
})
afterAll(() => guest.debugger.dispose())

const vcpu = () => guest.machine.vcpus[0]

describe('the slide of a kernel', () => {
  test('is found by its banner in memory', () => {
    const file = DebugFile.open(linked.program)
    expect(findKernelSlide(guest.machine, vcpu(), file)).toEqual({ slide: 0x60_0000n, by: 'banner' })
    file.slide = 0x20_0000n
    expect(findKernelSlide(guest.machine, vcpu(), file)).toEqual({ slide: 0x60_0000n, by: 'banner' })
    file.close()
  })

  test('is found by LSTAR when that is set', () => {
    const file = DebugFile.open(linked.program)
    const entry = guest.debugger.symbols.byName('entry_SYSCALL_64')?.address ?? 0n
    guest.debugger.target.writeRegister(0, 'msr_lstar', entry)
    expect(findKernelSlide(guest.machine, vcpu(), file)).toEqual({ slide: 0x60_0000n, by: 'LSTAR' })
    guest.debugger.target.writeRegister(0, 'msr_lstar', entry + 0x1000n)
    expect(findKernelSlide(guest.machine, vcpu(), file)?.by).toBe('banner')
    file.close()
  })

  test('moves the symbols of the book once', () => {
    const book = new SymbolBook()
    book.addFile(DebugFile.open(linked.program))
    const follower = new KernelFollower(book)
    expect(book.modules[0].role).toBe('kernel')
    expect(follower.locate(guest.machine, vcpu())).toBe(true)
    expect(follower.located).toBe(true)
    expect(follower.locate(guest.machine, vcpu())).toBe(false)
    expect(book.byName('start_kernel')?.address).toBe(guest.debugger.symbols.byName('start_kernel')?.address)
    expect(book.framesAt(vcpu().register('rip'))?.frames[0].name).toBe('start_kernel')
    book.close()
  })
})

describe('a kernel that begins anew', () => {
  test('is looked for again, and taken to be where it was until it is found', () => {
    const book = new SymbolBook()
    book.addFile(DebugFile.open(linked.program))
    const image: LinuxImage = { start: 0x20_0000, length: 0x1000, alignment: 0x20_0000, bits: 64 }
    const follower = new KernelFollower(book, { image })
    const address = book.byName('start_kernel')?.address ?? 0n
    expect([follower.seeking, follower.isPlaced(address)]).toEqual([true, false])
    const fixed = new KernelFollower(book, { image, isFixed: true })
    expect(fixed.isPlaced(address)).toBe(true)
    expect(follower.seek(guest.machine, vcpu())).toBe(true)
    const placed = book.byName('start_kernel')?.address ?? 0n
    expect([follower.seeking, follower.isPlaced(placed)]).toEqual([false, true])
    follower.forget()
    expect([follower.seeking, follower.located]).toEqual([true, false])
    expect(book.byName('start_kernel')?.address).toBe(placed)
    expect(follower.locate(guest.machine, vcpu())).toBe(true)
    book.close()
  })

  test('is not looked for without end', () => {
    const book = new SymbolBook()
    const source = KERNEL.replace('Linux version', 'Another system')
    book.addFile(DebugFile.open(buildGuest(source, [...at('0x200000'), '-Wl,--defsym=linux_banner=0x300']).program))
    const follower = new KernelFollower(book)
    let looks = 0
    for (; follower.seeking && looks < 1000; looks++) follower.seek(guest.machine, vcpu())
    expect(looks).toBe(100)
    expect(follower.located).toBe(false)
    book.close()
  })
})

describe('symbols of a kernel that are no places', () => {
  const source = 'int counter __attribute__((section(".data..percpu"))) = 1; void _start(void) { counter++; }'
  const script = `SECTIONS {
    .text 0x200000 : { *(.text*) }
    .data..percpu 0 : { *(.data..percpu) }
    limit = ABSOLUTE(0x300000);
  }`

  test('have values by name, and name no address', () => {
    const scriptFile = join(mkdtempSync(join(tmpdir(), 'ringside-per-cpu-')), 'kernel.lds')
    onTestFinished(() => rmSync(dirname(scriptFile), { recursive: true }))
    writeFileSync(scriptFile, script)
    const file = DebugFile.open(buildGuest(source, ['-O1', '-Wl,--no-check-sections', `-T${scriptFile}`]).program)
    expect(file.symbolNamed('counter')?.address).toBe(0n)
    expect(file.symbolAt(2n)).toBeUndefined()
    expect(file.symbolNamed('limit')?.address).toBe(0x30_0000n)
    expect(file.symbolAt(0x30_0000n)).toBeUndefined()
    const start = file.symbolNamed('_start')?.address ?? 0n
    expect(file.symbolAt(start + 1n)?.symbol.name).toBe('_start')
    file.close()
  })
})

describe('loaded modules', () => {
  test("are read from the kernel's list by its types", () => {
    const modules = readModules(guest.debugger.symbols, guest.subject)
    expect(modules).toEqual([
      {
        name: 'guest',
        base: 0x70_0000n,
        size: 0x500,
        sections: new Map([
          ['.text', 0x70_0000n],
          ['.data', 0x70_1000n],
        ]),
      },
      { name: 'other', base: 0x71_0000n, size: 0x40, sections: new Map([['.text', 0x71_0000n]]) },
    ])
  })

  test('are read with the pointers of a 32-bit kernel', async () => {
    const narrow = await GuestUnderTest.start(buildGuest(KERNEL, ['-m32', ...at('0x800000')]))
    onTestFinished(() => narrow.debugger.dispose())
    await narrow.runToMarker('running')
    const [first, second] = readModules(narrow.debugger.symbols, narrow.subject)
    expect(first.sections.get('.data')).toBe(0x70_1000n)
    expect(second).toEqual({ name: 'other', base: 0x71_0000n, size: 0x40, sections: new Map([['.text', 0x71_0000n]]) })
  })

  test('are found without their sections where those are of no interest', () => {
    expect(readModulePlaces(guest.debugger.symbols, guest.subject)).toEqual([
      { name: 'guest', base: 0x70_0000n, size: 0x500 },
      { name: 'other', base: 0x71_0000n, size: 0x40 },
    ])
  })

  test('are areas of the address space beside the sections of the kernel, once that is in its place', () => {
    const areas = (isPlaced: boolean) =>
      linearAreas(guest.debugger.symbols, guest.machine, vcpu(), () => isPlaced).map(
        ({ kind, name, start, end }) => `${kind} ${name} ${start.toString(16)}-${end.toString(16)}`,
      )
    expect(areas(true)).toEqual(expect.arrayContaining(['module guest 700000-700500', 'module other 710000-710040']))
    expect(areas(true).some(area => area.startsWith('section .text '))).toBe(true)
    expect(areas(false)).toEqual([])
  })

  test('have names that their files tell', () => {
    expect(moduleNameOf('/lib/modules/6.1/nf-tables.ko.xz')).toBe('nf_tables')
    expect(moduleNameOf('ext4.ko')).toBe('ext4')
  })

  test('are searched for in directories', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringside-modules-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    mkdirSync(join(folder, 'drivers', 'net'), { recursive: true })
    const paths = ['drivers/net/dummy.ko', 'drivers/net/tun.ko.debug', 'fs.ko'].map(path => join(folder, path))
    for (const path of [...paths, join(folder, 'modules.dep'), join(folder, 'x.ko.xz')]) writeFileSync(path, '')
    symlinkSync(folder, join(folder, 'drivers', 'loop'))
    expect(findModuleFiles([folder]).sort()).toEqual(paths)
    expect(findModuleFiles([paths[0]])).toEqual([paths[0]])
    expect(() => findModuleFiles([join(folder, 'none')])).toThrow(/^module symbols ".*none" can't be read: ENOENT/)
  })

  test('whose files are damaged or gone have no symbols, and that is said', () => {
    const folder = mkdtempSync(join(tmpdir(), 'ringside-modules-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const damaged = join(folder, 'guest.ko')
    writeFileSync(damaged, 'no ELF file')
    const book = new SymbolBook()
    const said: string[] = []
    book.onProblem = problem => said.push(problem)
    book.addFile(DebugFile.open(guest.built.program))
    const follower = new KernelFollower(book, { modulePaths: [damaged, join(folder, 'other.ko')] })
    expect(follower.followModules(guest.machine, vcpu())).toBe(true)
    expect(said).toEqual([
      expect.stringMatching(/guest\.ko: .*not an ELF file/),
      expect.stringMatching(/other\.ko: ENOENT/),
    ])
    expect(follower.followModules(guest.machine, vcpu())).toBe(false)
    book.close()
  })

  test('get their symbols where the kernel has put them', () => {
    const module = buildGuest('int counter; int helper(void) { return counter; }', ['-O1', '-r'])
    const book = new SymbolBook()
    book.addFile(DebugFile.open(guest.built.program))
    const path = module.program.replace('.elf', '.ko')
    copyFileSync(module.program, path)
    const follower = new KernelFollower(book, { modulePaths: [path] })
    expect(follower.followModules(guest.machine, vcpu())).toBe(true)
    expect(book.byName('helper')?.address).toBe(0x70_0000n)
    expect(book.moduleAt(0x70_0001n)).toMatchObject({ name: path, role: 'module' })
    expect(follower.followModules(guest.machine, vcpu())).toBe(false)
    book.close()
  })
})

describe('a bzImage and its vmlinux', () => {
  const image = (version: string, payload: Uint8Array) => {
    const bytes = Buffer.alloc(0x400 + 512 + payload.length + 4)
    bytes[0x1f1] = 1
    bytes.writeUInt16LE(0x100, 0x20e)
    bytes.write(`${version}\0`, 0x300, 'latin1')
    bytes.writeUInt32LE(0x200, 0x248)
    bytes.writeUInt32LE(payload.length + 4, 0x24c)
    bytes.set(payload, 0x600)
    return bytes
  }

  test('belong together by build id where the payload can be decompressed', () => {
    const file = DebugFile.open(linked.program)
    const own = kernelIdentity(image('6.1.0-test (me@here) #1 SMP x', gzipSync(readFileSync(linked.program))))
    expect(own.buildId).toBe(file.buildId)
    expect(mismatch(own, file)).toBeUndefined()
    const other = kernelIdentity(image('6.1.0-test', gzipSync(readFileSync(guest.built.program))))
    expect(mismatch(other, file)).toMatch(/^is of another build than the kernel that boots \(build id /)
    file.close()
  })

  test('or else by version', () => {
    const file = DebugFile.open(linked.program)
    const same = kernelIdentity(image('6.1.0-test (me@here) #1 SMP Debian 6.1.76-1', Buffer.from('xz')))
    expect(same).toEqual({ version: '6.1.0-test (me@here) #1 SMP Debian 6.1.76-1', buildId: undefined })
    expect(mismatch(same, file)).toBeUndefined()
    const other = kernelIdentity(image('6.1.0-other (me@here) #1 SMP Debian 6.1.76-1', Buffer.from('xz')))
    expect(mismatch(other, file)).toContain('but the kernel that boots is "6.1.0-other')
    file.close()
  })

  test('an image that is damaged has no identity', () => {
    expect(kernelIdentity(new Uint8Array(10))).toEqual({ version: undefined, buildId: undefined })
    expect(kernelIdentity(new Uint8Array(0x400).fill(0xff)).buildId).toBeUndefined()
  })
})
