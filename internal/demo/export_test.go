package demo

// LeftHalf is the at_hash of an access token.
var LeftHalf = leftHalf
