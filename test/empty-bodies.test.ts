import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serve } from './serve.ts'

interface Operation {
  readonly requestBody?: { readonly required?: boolean }
}

test('an empty body that is called JSON is refused where a body is demanded, and nowhere else', async (t) => {
  const { url } = await serve(t)
  const written = await (await fetch(`${url}/openapi.json`)).json()
  const { paths } = written as { readonly paths: Record<string, Record<string, Operation>> }
  const told: string[] = []
  let free = 0
  for (const [path, methods] of Object.entries(paths)) {
    for (const [method, { requestBody }] of Object.entries(methods)) {
      if (!['post', 'put', 'patch', 'delete'].includes(method)) continue
      const reply = await fetch(url + path.replace(/\{[^}]+\}/g, '999'), {
        method: method.toUpperCase(),
        headers: { 'content-type': 'application/json' },
      })
      const text = await reply.text()
      const refused = text.includes('"body_unreadable"') && text.includes('"empty"')
      if (requestBody?.required !== true) free += 1
      if (refused !== (requestBody?.required === true)) told.push(`${method} ${path} ${text}`)
    }
  }
  assert.deepEqual(told, [])
  assert.ok(free >= 8, `${free} operations demand no body`)
})
