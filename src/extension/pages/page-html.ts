/** A webview's page before its script fills it: nothing is loaded but the script and styles of the package. */

export interface PageParts {
  readonly title: string
  /** Fresh for each page. */
  readonly nonce: string
  /** Where the webview gets the packaged files from. */
  readonly script: string
  readonly styles: readonly string[]
  readonly cspSource: string
}

/** Styles come from files and, for single elements, by the DOM's `style`, which this policy does not stop. */
export function pageHtml({ title, nonce, script, styles, cspSource }: PageParts): string {
  const policy = `default-src 'none'; style-src ${cspSource}; script-src 'nonce-${nonce}'`
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
${styles.map(style => `<link rel="stylesheet" href="${style}">`).join('\n')}
<title>${title}</title>
</head>
<body>
<div id="page"></div>
<script nonce="${nonce}" src="${script}"></script>
</body>
</html>
`
}
