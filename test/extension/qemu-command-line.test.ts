import { describe, expect, test } from 'vitest'
import { CommandLineError, importCommandLine, splitWords } from '../../src/extension/qemu-command-line.ts'
import { parseNet } from '../../src/machine/net-configuration.ts'
import { parseLaunchArguments } from '../../src/protocol/launch-arguments.ts'

describe('words of a command line', () => {
  test.each([
    ['a  b\tc', ['a', 'b', 'c']],
    [`-append "console=ttyS0 nokaslr" x`, ['-append', 'console=ttyS0 nokaslr', 'x']],
    [`'a b'"c d"e`, ['a bc de']],
    ['a \\\n  b', ['a', 'b']],
    ['a\\ b', ['a b']],
    [`"say \\"hi\\" \\n"`, ['say "hi" \\n']],
    [`''`, ['']],
    ['', []],
  ])('%j', (text, words) => {
    expect(splitWords(text)).toEqual(words)
  })

  test('a quote that is not closed is named', () => {
    expect(() => splitWords(`-append "console`)).toThrow('a " is opened and not closed: "console')
  })
})

describe('a QEMU command line', () => {
  test('of a Linux kernel becomes a configuration that the adapter takes', () => {
    const { configuration, notes } = importCommandLine(`sudo qemu-system-x86_64 -enable-kvm -nographic -s -S \\
      -kernel arch/x86/boot/bzImage -initrd /tmp/i.gz -append "console=ttyS0 nokaslr" -m 2G -smp 2 -cpu host`)
    expect(configuration).toEqual({
      type: 'ringside',
      request: 'launch',
      name: 'Ringside: bzImage',
      program: 'arch/x86/boot/bzImage',
      initrd: '/tmp/i.gz',
      cmdline: 'console=ttyS0 nokaslr',
      memory: '2G',
      cpus: 2,
      stopOnEntry: true,
    })
    expect(notes).toEqual([])
    expect(parseLaunchArguments(configuration)).toMatchObject({ memory: 2 ** 31, cpus: 2, stopOnEntry: true })
  })

  test('has its disks, in their order', () => {
    const { configuration } = importCommandLine(
      'qemu-system-x86_64 -kernel k -hda a.img -drive file=b.img,if=virtio,format=raw,readonly=on -drive file=c,,d,if=none,id=x -device virtio-blk,drive=x e.img',
    )
    expect(configuration.disks).toEqual(['a.img,interface=ide', 'b.img,readonly', 'c,,d', 'e.img'])
  })

  test.each([
    [
      '-netdev user,id=n,hostfwd=tcp::2222-:22,hostfwd=udp:127.0.0.1:53-:5353 -device virtio-net,netdev=n',
      'user,outside=on,forward=tcp:2222:22,forward=udp:53:5353',
    ],
    ['-nic user,hostfwd=::80-10.0.2.15:8080', 'user,outside=on,forward=tcp:80:8080'],
    [
      '-netdev user,id=n -device virtio-net-pci,netdev=n,mac=52:54:00:12:34:56',
      'user,outside=on,mac=52:54:00:12:34:56',
    ],
    ['-nic none', undefined],
  ])('has its network: %s', (options, net) => {
    const { configuration } = importCommandLine(`qemu -kernel k ${options}`)
    expect(configuration.net).toBe(net)
    if (net !== undefined) expect(parseNet(net)?.user).toBeDefined()
  })

  test.each([
    ['-m 512', { memory: '512M' }],
    ['-m size=1g,slots=2', { memory: '1G' }],
    ['-smp sockets=1,cores=2,threads=2', { cpus: 4 }],
    ['-smp 3,maxcpus=8', { cpus: 3 }],
    ['-cpu max', { cpu: 'max' }],
    ['-cpu Haswell', { cpu: 'v3' }],
    ['--append x', { cmdline: 'x' }],
    ['-device virtio-rng-pci', { rng: true }],
    ['-device virtio-balloon', { balloon: true }],
  ])('%s becomes %j', (options, fields) => {
    const { configuration, notes } = importCommandLine(`qemu -kernel k ${options}`)
    expect(configuration).toMatchObject(fields)
    expect(notes).toEqual([])
    expect(() => parseLaunchArguments(configuration)).not.toThrow()
  })

  test.each([
    ['-usb -device nec-usb-xhci', ['-usb has no counterpart', '-device nec-usb-xhci has no counterpart']],
    ['-virtfs local,path=.', ['-virtfs local,path=. has no counterpart']],
    ['-netdev tap,id=n', ['-netdev tap,id=n: of the back ends there is only user']],
    ['-drive file=a.qcow2', ['a.qcow2: images are raw; convert it with qemu-img convert -O raw']],
    ['-cpu pentium3', ['-cpu pentium3: the processor is one of our own; "cpu" chooses its features']],
    ['-m lots', ['-m lots: no size such as 512M']],
    ['-machine q35', ['-machine q35: the chipset is a 440FX, as of -machine pc']],
    ['-initrd a,b', ['-initrd a,b: only the first module was taken']],
    ['-constructor x', ['-constructor x has no counterpart']],
  ])('of %s is said what was left out', (options, notes) => {
    expect(importCommandLine(`qemu -kernel k ${options}`).notes).toEqual(notes)
  })

  test.each([
    ['', 'this has no options'],
    ['make', 'this has no options'],
    ['qemu-system-aarch64 -kernel k', 'guests here are x86 ones'],
    ['qemu-system-x86_64 -hda disk.img', 'no firmware runs here'],
    ['qemu-system-x86_64 -m 1', 'there is no -kernel'],
    ['qemu-system-x86_64 -kernel', '-kernel has nothing behind it'],
    [`qemu ${'x'.repeat(70_000)}`, 'too long'],
  ])('%j is refused: %s', (text, message) => {
    expect(() => importCommandLine(text)).toThrow(CommandLineError)
    expect(() => importCommandLine(text)).toThrow(message)
  })
})
