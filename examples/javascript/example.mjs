#!/usr/bin/env node
// Checks a name against the lists, then puts it on a watchlist.
//
//     example.mjs [NAME]

import { kycFetch } from './kyc-auth.mjs'

async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' }
  const response = await kycFetch(path, { method: 'POST', headers, body: JSON.stringify(body) })
  if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`)
  return response.json()
}

try {
  const name = process.argv[2] ?? 'Jane Roe'
  console.log(await post('/kyc', { name }))
  console.log(await post('/kyc/watchlists', { name: 'Customers', subjects: [{ name }] }))
} catch (err) {
  console.error(`example: ${err.message}`)
  process.exitCode = 1
}
