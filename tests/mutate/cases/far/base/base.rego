package base

limit := 3

ready if input.count <= limit
