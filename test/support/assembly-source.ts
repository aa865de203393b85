/** Assembly of any length, for what must not grow with it. */

/** @returns NASM source of `lines` lines, a label in each third, which others use. */
export function longNasmSource(lines: number): string {
  const labels = Math.ceil(lines / 3)
  const parts = Array.from(
    { length: labels },
    (_, i) => `label_${i}:\n        mov rax, [rel label_${i}]\n        call label_${(i * 7) % labels}`,
  )
  return parts.join('\n').split('\n').slice(0, lines).join('\n')
}
