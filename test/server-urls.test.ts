import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serverUrls } from '../src/domain/server-urls.ts'

test('a URL of several servers is one of each, with the same account, database and options', () => {
  const options = '?sslmode=require&application_name=a%2Cb'
  assert.deepEqual(serverUrls(`postgresql://u:p%40@a,b:5433,[::1]:5434/d${options}`), [
    `postgresql://u:p%40@a/d${options}`,
    `postgresql://u:p%40@b:5433/d${options}`,
    `postgresql://u:p%40@[::1]:5434/d${options}`,
  ])
  for (const wanted of ['read-write', 'primary']) {
    const url = `postgresql://u@a,b/d?x=1&target_session_attrs=${wanted}&y=2`
    assert.deepEqual(serverUrls(url), ['postgresql://u@a/d?x=1&y=2', 'postgresql://u@b/d?x=1&y=2'])
    assert.deepEqual(serverUrls(`postgresql://a/d?target_session_attrs=${wanted}`), [
      'postgresql://a/d',
    ])
  }
})

test('the URL of one server stays as it is', () => {
  for (const url of [
    'postgresql://u:p@h:5432/d',
    'postgresql://h',
    'postgresql:///d?host=%2Ftmp%2Fa+b&port=5433',
  ]) {
    assert.deepEqual(serverUrls(url), [url])
  }
})

test('a URL that names no server, a wrong port, or asks for a standby is none', () => {
  for (const url of [
    'mysql://a/d',
    'postgresql://a,/d',
    'postgresql://,a/d',
    'postgresql://a,b:99999/d',
    'postgresql://a:x/d',
    'postgresql://a,b/d?target_session_attrs=any',
    'postgresql://a,b/d?target_session_attrs=prefer-standby',
    'postgresql://a,b/d?target_session_attrs=read-write1',
  ]) {
    assert.equal(serverUrls(url), null, url)
  }
})
