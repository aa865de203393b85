/** What is typed at the debug console in tests: every command, in forms that work and in forms that don't. */
export const CONSOLE_COMMANDS = [
  ...['help', 'help x', 'help nothing', 'mode', 'regs', 'regs control', 'regs $cr4', 'regs nothing'],
  ...['translate $rip execute', 'translate 0x40000000 write', 'translate 0x8000000000000000', 'translate'],
  ...['maps', 'maps 0x40000000 1', 'maps phys:0', 'ept', 'ept 0x100000 1'],
  ...[
    'x/4gx $rsp',
    'x/3i $rip',
    'x/s phys:0x100000',
    'x/2wx phys:0x100000',
    'x/8xb hpa:0',
    'x/q 0',
    'x 0x8000000000',
    'x/2a $rsp',
  ],
  ...['gdt', 'ldt', 'idt', 'idt 14', 'tss', 'exits 3', 'apic', 'devices', 'devices pic', 'devices nothing', 'screen'],
  ...[
    'pci',
    'pci 00:01.0',
    'pci 00:1f.0',
    'devices uart0',
    'virtqueues',
    'virtqueues virtio-blk0',
    'chain',
    'trace x 0 on',
    'packets',
  ],
  ...['symbol $rip', 'symbol kernel_main', 'number', 'number + 1', '$rflags.IF', '(mode)'],
]
