// Orders behind Express and a verifier somebody wrote with node:crypto.
// FLAW=none takes the algorithm none; FLAW=unsigned skips an absent signature.
const { createPublicKey, verify } = require('node:crypto')
const { readFileSync } = require('node:fs')
const express = require('express')

const { issuer, audience, rsa } = JSON.parse(readFileSync(process.env.KEYS, 'utf8'))
const flaw = process.env.FLAW
const key = createPublicKey({ key: rsa, format: 'jwk' })

function claimsOf (token) {
  const parts = token.split('.')
  if (parts.length !== 3) throw new Error('parts')
  for (const p of parts) if (Buffer.from(p, 'base64url').toString('base64url') !== p) throw new Error('base64url')
  const header = JSON.parse(Buffer.from(parts[0], 'base64url'))
  const unsigned = (flaw === 'none' && header.alg === 'none') || (flaw === 'unsigned' && parts[2] === '')
  if (!unsigned) {
    if (header.alg !== 'RS256' || header.crit) throw new Error('alg')
    if (!verify('sha256', Buffer.from(parts[0] + '.' + parts[1]), key, Buffer.from(parts[2], 'base64url'))) throw new Error('signature')
  }
  if (header.typ !== 'at+jwt') throw new Error('typ')
  const claims = JSON.parse(Buffer.from(parts[1], 'base64url'))
  const now = Date.now() / 1000
  if (claims.iss !== issuer || claims.aud !== audience) throw new Error('iss or aud')
  if (!Number.isInteger(claims.exp) || claims.exp < now || (claims.nbf !== undefined && !(claims.nbf <= now))) throw new Error('time')
  return claims
}

const app = express()
app.disable('x-powered-by')
app.enable('strict routing')
app.enable('case sensitive routing')
app.get('/orders', (req, res) => {
  const m = /^Bearer (\S+)$/.exec(req.get('authorization') || '')
  try {
    const claims = claimsOf(m[1])
    res.json({ customer: claims.sub, items: ['rope', 'candle'] })
  } catch {
    res.set('WWW-Authenticate', 'Bearer').status(401).json({ message: 'Unauthorized' })
  }
})
app.use((req, res) => res.status(404).json({ message: 'Not found' }))
const server = app.listen(0, '127.0.0.1', () => console.log(JSON.stringify({ port: server.address().port })))
