/** What all pages have in common. */

import { expect, test } from 'vitest'
import { pageHtml } from '../../src/extension/pages/page-html.ts'

test('a page loads nothing but its own script and styles', () => {
  const html = pageHtml({
    title: 'Screen',
    nonce: 'abc',
    script: 'https://w/s.js',
    styles: ['https://w/page.css', 'https://w/s.css'],
    cspSource: 'https://w',
  })
  expect(html).toContain(`content="default-src 'none'; style-src https://w; script-src 'nonce-abc'"`)
  expect(html.match(/<script\b/g)).toHaveLength(1)
  expect(html).toContain('<script nonce="abc" src="https://w/s.js"></script>')
  expect([...html.matchAll(/<link rel="stylesheet" href="([^"]*)">/g)].map(([, href]) => href)).toEqual([
    'https://w/page.css',
    'https://w/s.css',
  ])
  expect(html).not.toMatch(/style=|onload=|onclick=|unsafe/)
})
