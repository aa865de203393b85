/** While debugging: the values of the registers that a line names, behind it and under the pointer. */

import * as vscode from 'vscode'
import { DEBUG_TYPE } from './debug-type.ts'
import { registerWords } from './register-words.ts'

const LANGUAGES = ['nasm', 'gas']
/** Lines above the stop that are annotated: further up the registers had other values when they were used. */
const LINES_ABOVE = 5

export function showRegisterValues(): vscode.Disposable {
  return vscode.Disposable.from(
    vscode.languages.registerInlineValuesProvider(LANGUAGES, {
      provideInlineValues(document, viewPort, { stoppedLocation }) {
        if (vscode.debug.activeDebugSession?.type !== DEBUG_TYPE) return []
        const last = stoppedLocation.end.line
        const first = Math.max(viewPort.start.line, last - LINES_ABOVE)
        const values: vscode.InlineValue[] = []
        const seen = new Set<string>()
        for (let line = last; line >= first && line < document.lineCount; line--)
          for (const { start, end, expression } of registerWords(document.lineAt(line).text, document.languageId)) {
            // The line that executes next is the one that matters.
            if (seen.has(expression)) continue
            seen.add(expression)
            values.push(
              new vscode.InlineValueEvaluatableExpression(new vscode.Range(line, start, line, end), expression),
            )
          }
        return values
      },
    }),
    vscode.languages.registerEvaluatableExpressionProvider(LANGUAGES, {
      provideEvaluatableExpression(document, { line, character }) {
        const words = registerWords(document.lineAt(line).text, document.languageId)
        const word = words.find(({ start, end }) => start <= character && character <= end)
        if (word === undefined) return undefined
        return new vscode.EvaluatableExpression(new vscode.Range(line, word.start, line, word.end), word.expression)
      },
    }),
  )
}
